/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every kind of names=, for a fixture `names`, which is before this: options for mount_tree().
 */
#ifndef VMADEMO_NAMES_VARIANTS_H
#define VMADEMO_NAMES_VARIANTS_H

FIXTURE_VARIANT(names)
{
	const char *options;
	bool posix, durable;
};

FIXTURE_VARIANT_ADD(names, ordered){
	.options = "store=ram,size=256p,folio_size=1p",
};

FIXTURE_VARIANT_ADD(names, posix){
	.options = "store=ram,size=256p,folio_size=1p,names=posix",
	.posix = true,
};

FIXTURE_VARIANT_ADD(names, durable){
	.options = "store=ram,size=256p,folio_size=1p,names=durable",
	.durable = true,
};

#endif /* VMADEMO_NAMES_VARIANTS_H */
