// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows in a BAR of a PCI device.  The module becomes the driver of the device: so
 * the device has no other, none can be bound while the window is there, and the PCI
 * core says when the device goes.  Then the window is revoked and its range let go,
 * before the kernel gives the addresses to somebody else.
 *
 * Locks: the device's lock, then windows_lock, then what revoke.c says.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "phys/phys.h"

/* Those that have their range. */
static LIST_HEAD(windows);
static DEFINE_MUTEX(windows_lock);

/* The device that is to be bound now.  Others of its kind are left alone. */
static const struct pci_dev *wanted;

static int phys_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	if (pdev != READ_ONCE(wanted))
		return -ENODEV;
	/* It answers to its addresses */
	return pci_enable_device_mem(pdev);
}

static void phys_pci_remove(struct pci_dev *pdev)
{
	struct vmademo_window *w, *next;

	mutex_lock(&windows_lock);
	list_for_each_entry_safe(w, next, &windows, same_driver) {
		if (w->pdev != pdev)
			continue;
		list_del_init(&w->same_driver);
		vmademo_phys_revoke(w);
		vmademo_window_release(w);
		pci_warn(pdev, "%s is revoked: the device is taken away\n", w->name);
	}
	mutex_unlock(&windows_lock);
	pci_disable_device(pdev);
}

static struct pci_driver phys_pci_driver = {
	.name		= KBUILD_MODNAME,
	.id_table	= NULL,	/* only what is added when the module is loaded */
	.probe		= phys_pci_probe,
	.remove		= phys_pci_remove,
	/* It does none: whose the device's IOMMU group is does not matter */
	.driver_managed_dma = true,
	.driver		= { .probe_type = PROBE_FORCE_SYNCHRONOUS },
};

static bool registered;

/* The device that has a BAR around the range, with a reference; or NULL. */
static struct pci_dev *device_around(resource_size_t first, resource_size_t last)
{
	struct pci_dev *pdev = NULL;
	int i;

	for_each_pci_dev(pdev) {
		for (i = 0; i <= PCI_STD_RESOURCE_END; i++) {
			const struct resource *r = &pdev->resource[i];

			/* Without a parent it has no addresses of its own */
			if (resource_type(r) == IORESOURCE_MEM && r->parent &&
			    r->start <= first && last <= r->end)
				return pdev;
		}
	}
	return NULL;
}

/* Makes the module the driver of a device, unless it has one. */
static int bind_device(struct pci_dev *pdev)
{
	int err = 0;

	if (!registered) {
		err = pci_register_driver(&phys_pci_driver);
		if (err)
			return err;
		registered = true;
	}
	WRITE_ONCE(wanted, pdev);
	if (!pci_dev_driver(pdev))
		err = pci_add_dynid(&phys_pci_driver, pdev->vendor, pdev->device,
				    pdev->subsystem_vendor, pdev->subsystem_device,
				    0, 0, 0);
	WRITE_ONCE(wanted, NULL);
	return err;
}

/**
 * vmademo_pci_take() - take a range that is in a BAR, and the device with it
 * @w: the window, with its range
 *
 * Says in the log what was wrong.
 *
 * Context: May sleep.
 * Return: 0; -ENOENT, without a word, if it is in no BAR; -EBUSY if the device has a
 *         driver; -EINVAL if this memory type makes no sense there; another errno if
 *         the device cannot be bound.
 */
int vmademo_pci_take(struct vmademo_window *w)
{
	phys_addr_t last = w->base + w->bytes - 1;
	int err;

	w->pdev = device_around(w->base, last);
	if (!w->pdev)
		return -ENOENT;
	/* On x86 the firmware said of BARs that they are not cached, which holds */
	if (!IS_ENABLED(CONFIG_X86) && w->memtype == VMADEMO_WB) {
		pr_err("phys_memtype=: %pa to %pa: a BAR must be wc or uc\n",
		       &w->base, &last);
		return -EINVAL;
	}
	err = bind_device(w->pdev);
	device_lock(&w->pdev->dev);
	if (w->pdev->dev.driver == &phys_pci_driver.driver) {
		err = vmademo_window_request(w);
		if (!err) {
			mutex_lock(&windows_lock);
			list_add(&w->same_driver, &windows);
			mutex_unlock(&windows_lock);
		}
	} else if (w->pdev->dev.driver) {
		pr_err("phys=: %pa to %pa: in use by %s\n", &w->base, &last,
		       w->pdev->dev.driver->name);
		err = -EBUSY;
	} else {
		err = err ?: -ENODEV;
		pr_err("phys=: %pa to %pa: failed to bind %s: %pe\n", &w->base,
		       &last, pci_name(w->pdev), ERR_PTR(err));
	}
	device_unlock(&w->pdev->dev);
	return err;
}

/**
 * vmademo_pci_give_back() - undo vmademo_pci_take(), if it was called
 * @w: the window; the device may be gone meanwhile
 *
 * Context: May sleep.
 */
void vmademo_pci_give_back(struct vmademo_window *w)
{
	mutex_lock(&windows_lock);
	if (!list_empty(&w->same_driver)) {
		list_del_init(&w->same_driver);
		vmademo_window_release(w);
	}
	mutex_unlock(&windows_lock);
	pci_dev_put(w->pdev);	/* or NULL */
	w->pdev = NULL;
}

/**
 * vmademo_pci_exit() - leave all devices alone again
 *
 * Context: May sleep.  No window has a range any more.
 */
void vmademo_pci_exit(void)
{
	if (registered)
		pci_unregister_driver(&phys_pci_driver);
	registered = false;
}
