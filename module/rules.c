// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of a buffer, or of a mounted tree: kept, added, deleted, listed.  Those of a tree
 * are for each of its files, also for files that are yet to be made.
 *
 * For each operation there is a table of ranges of pages that do not overlap, sorted, each
 * with its rules.  A table is never changed: a new one is made and published by RCU, so who
 * takes a fault finds its page by halves and takes no lock.  The rules themselves are
 * shared by the old table and the new, with their counts.
 *
 * A new rule must meet each event that begins after the request has returned.  So what is
 * mapped already is unmapped or write-protected, folio by folio, under the lock of the
 * folio, after the table is published; and a fault looks at the table once more under the
 * same lock (fault.c).  Mapping pages around a fault holds no lock that could be taken
 * here, but RCU.
 *
 * Locks: key_lock, alone; then rules->lock, then a folio's lock and what unmapping takes.  That
 * of a tree is outside of all that the end of one of its files takes.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "vmademo.h"

#define LAST_PAGE	((u64)VMADEMO_MAX_SIZE >> PAGE_SHIFT)

DEFINE_STATIC_KEY_FALSE(vmademo_rules_key);

/* ---- whether there is any rule ------------------------------------------- */

static DEFINE_MUTEX(key_lock);
static unsigned long key_users;		/* rules; under key_lock */
static atomic_long_t key_puts = ATOMIC_LONG_INIT(0);

static void rules_key_get(void)
{
	mutex_lock(&key_lock);
	static_branch_inc(&vmademo_rules_key);
	/* Nobody may be mapping pages any more who has not seen it */
	if (!key_users++)
		vmademo_wait_map_pages();
	mutex_unlock(&key_lock);
}

static void rules_key_put(long n)
{
	mutex_lock(&key_lock);
	for (; n; n--) {
		key_users--;
		static_branch_dec(&vmademo_rules_key);
	}
	mutex_unlock(&key_lock);
}

/* A buffer ends where locks may be held; to patch code takes others. */
static void rules_key_put_work(struct work_struct *work)
{
	rules_key_put(atomic_long_xchg(&key_puts, 0));
}

static DECLARE_WORK(key_work, rules_key_put_work);

/* ---- making rules -------------------------------------------------------- */

static struct vmademo_rule_table *publish(struct vmademo_rules *rules, unsigned int op,
					  struct vmademo_rule_table *table)
{
	return rcu_replace_pointer(rules->tables[op], table, lockdep_is_held(&rules->lock));
}

/**
 * vmademo_rule_put() - let go of a rule
 * @entry: the rule
 *
 * Context: Any.
 */
void vmademo_rule_put(struct vmademo_rule_entry *entry)
{
	if (!refcount_dec_and_test(&entry->ref))
		return;
	put_pid(entry->pid);
	kfree(entry);
}

static struct vmademo_rules *rules_of(const struct vmademo_target *of)
{
	/* As vmademo_rules_of() does it */
	return of->tree ? smp_load_acquire(&of->tree->rules) : vmademo_rules_of(of->buf);
}

/* What it has for its rules; made when it is first asked for. */
static struct vmademo_rules *get_rules(const struct vmademo_target *of)
{
	struct vmademo_rules **to = of->tree ? &of->tree->rules : &of->buf->rules;
	struct vmademo_rules *rules = rules_of(of);

	if (rules)
		return rules;
	rules = kzalloc(sizeof(*rules), GFP_KERNEL_ACCOUNT);
	if (!rules)
		return NULL;
	mutex_init(&rules->lock);
	INIT_LIST_HEAD(&rules->list);
	init_waitqueue_head(&rules->wait);
	spin_lock_init(&rules->answers_lock);
	INIT_LIST_HEAD(&rules->answers);
	if (cmpxchg(to, NULL, rules)) {
		kfree(rules);
		return *to;
	}
	if (of->buf)
		vmademo_debugfs_make_dir(of->buf);
	return rules;
}

static struct vmademo_rule_entry *make_entry(const struct vmademo_rule *rule)
{
	struct vmademo_rule_entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);
	int err;

	if (!entry)
		return ERR_PTR(-ENOMEM);
	refcount_set(&entry->ref, 1);
	entry->rule = *rule;
	entry->last = rule->nr ? rule->start + rule->nr - 1 : LAST_PAGE;
	atomic64_set(&entry->left, min_t(u64, rule->times, S64_MAX));
	if (rule->pid) {
		entry->pid = find_get_pid(rule->pid);
		rcu_read_lock();
		if (!entry->pid || !pid_task(entry->pid, PIDTYPE_TGID)) {
			rcu_read_unlock();
			vmademo_rule_put(entry);
			return ERR_PTR(-ESRCH);
		}
		rcu_read_unlock();
	}
	err = rule->flags & VMADEMO_RULE_KILL ? vmademo_rule_may_kill(entry) : 0;
	if (err) {
		vmademo_rule_put(entry);
		return ERR_PTR(err);
	}
	return entry;
}

/* The next touch of the folio is to be a fault, or a first write.  It is locked. */
static int expose(struct folio *folio, const struct vmademo_rule_entry *entry)
{
	u64 first = max_t(u64, folio->index, entry->rule.start);
	u64 last = min_t(u64, folio->index + folio_nr_pages(folio) - 1, entry->last);

	if (!folio->mapping)
		return 0;
	/* Newer kernels map all of it by one fault, of whichever page */
	if (folio_test_large(folio))
		return -EBUSY;
	if (entry->rule.op != VMADEMO_OP_MKWRITE)
		unmap_mapping_pages(folio->mapping, first, last - first + 1, false);
	else if (folio_mkclean(folio))
		folio_mark_dirty(folio);
	return 0;
}

static int expose_buffer(struct vmademo_buffer *buf, const struct vmademo_rule_entry *entry)
{
	pgoff_t index = entry->rule.start;
	struct folio_batch batch;
	unsigned int i;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && filemap_get_folios(buf->inode->i_mapping, &index,
					  min_t(u64, entry->last, ULONG_MAX), &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !err; i++) {
			/*
			 * Not mapped, and whoever maps it looks for rules when it is up to
			 * date: no wait for a store.  But with a large one, for those of one page.
			 */
			if (!folio_test_uptodate(batch.folios[i])) {
				if (folio_test_large(batch.folios[i]))
					err = -EBUSY;
				continue;
			}
			err = folio_lock_killable(batch.folios[i]);
			if (err)
				break;
			err = expose(batch.folios[i], entry);
			folio_unlock(batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

static int expose_all(const struct vmademo_target *of, const struct vmademo_rule_entry *entry)
{
	struct vmademo_buffer *buf = NULL;
	int err = 0;

	if (!(BIT(entry->rule.op) & VMADEMO_OPS_PAGES))
		return 0;
	if (of->buf)
		return expose_buffer(of->buf, entry);
	while ((buf = vmademo_power_next(of->tree, buf)))
		err = err ?: expose_buffer(buf, entry);
	return err;
}

/* With rules->lock held. */
static int add_entry(const struct vmademo_target *of, struct vmademo_rules *rules,
		     struct vmademo_rule_entry *entry)
{
	unsigned int op = entry->rule.op;
	struct vmademo_rule_table *table, *old;
	int err;

	if (rules->nr == VMADEMO_RULES_MAX)
		return -ENOSPC;
	entry->rule.id = rules->newest + 1;
	list_add_tail(&entry->list, &rules->list);
	rules->nr++;
	err = vmademo_rule_make_table(rules, op, NULL, &table);
	if (err)
		goto remove;
	rules->newest++;
	old = publish(rules, op, table);
	/* From here on nobody maps pages around a fault who has not seen it */
	synchronize_rcu_expedited();
	err = expose_all(of, entry);
	if (!err) {
		kvfree(old);
		return 0;
	}
	table = publish(rules, op, old);
	synchronize_rcu_expedited();
	kvfree(table);
remove:
	WRITE_ONCE(entry->gone, true);
	wake_up_all(&rules->wait);
	list_del(&entry->list);
	rules->nr--;
	return err;
}

/**
 * vmademo_rule_add() - make a rule
 * @of: the buffer or the tree
 * @rule: what is asked for, checked by vmademo_rule_check(); its id is set
 *
 * Context: May sleep.  No lock may be held.
 * Return: 0, or a negative errno as VMADEMO_IOC_RULE_ADD says.
 */
int vmademo_rule_add(const struct vmademo_target *of, struct vmademo_rule *rule)
{
	struct vmademo_rules *rules = get_rules(of);
	struct vmademo_rule_entry *entry;
	int err;

	if (!rules)
		return -ENOMEM;
	entry = make_entry(rule);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	rules_key_get();
	err = mutex_lock_killable(&rules->lock);
	if (!err) {
		err = add_entry(of, rules, entry);
		rule->id = entry->rule.id;
		mutex_unlock(&rules->lock);
	}
	if (err) {
		rules_key_put(1);
		vmademo_rule_put(entry);
	}
	return err;
}

/* ---- deleting and listing ------------------------------------------------ */

/* With rules->lock held; no table has them any more.  Returns how many. */
static long let_go(struct vmademo_rules *rules, struct list_head *gone)
{
	struct vmademo_rule_entry *entry, *next;
	long n = 0;

	list_for_each_entry(entry, gone, list)
		WRITE_ONCE(entry->gone, true);
	wake_up_all(&rules->wait);
	list_for_each_entry_safe(entry, next, gone, list) {
		list_del(&entry->list);
		vmademo_rule_put(entry);
		n++;
	}
	rules->nr -= n;
	return n;
}

static long delete_all(struct vmademo_rules *rules)
{
	struct vmademo_rule_table *old[VMADEMO_NR_OPS];
	unsigned int op;
	LIST_HEAD(gone);

	for (op = 0; op < VMADEMO_NR_OPS; op++)
		old[op] = publish(rules, op, NULL);
	synchronize_rcu_expedited();
	for (op = 0; op < VMADEMO_NR_OPS; op++)
		kvfree(old[op]);
	list_splice_init(&rules->list, &gone);
	return let_go(rules, &gone);
}

static long delete_one(struct vmademo_rules *rules, u64 id)
{
	struct vmademo_rule_table *table;
	struct vmademo_rule_entry *entry;
	LIST_HEAD(gone);
	int err;

	list_for_each_entry(entry, &rules->list, list) {
		if (entry->rule.id != id)
			continue;
		err = vmademo_rule_make_table(rules, entry->rule.op, entry, &table);
		if (err)
			return err;
		table = publish(rules, entry->rule.op, table);
		synchronize_rcu_expedited();
		kvfree(table);
		list_move(&entry->list, &gone);
		return let_go(rules, &gone);
	}
	return -ENOENT;
}

/**
 * vmademo_rule_del() - delete a rule, or all
 * @of: the buffer or the tree
 * @id: which; 0 for all
 *
 * Context: May sleep.  No lock may be held.
 * Return: 0; -ENOENT; -ENOMEM; -EINTR if the task is being killed.
 */
int vmademo_rule_del(const struct vmademo_target *of, u64 id)
{
	struct vmademo_rules *rules = rules_of(of);
	long n;

	if (!rules)
		return id ? -ENOENT : 0;
	if (mutex_lock_killable(&rules->lock))
		return -EINTR;
	n = id ? delete_one(rules, id) : delete_all(rules);
	mutex_unlock(&rules->lock);
	if (n < 0)
		return n;
	rules_key_put(n);
	return 0;
}

/**
 * vmademo_rule_next() - tell one rule
 * @of: the buffer or the tree
 * @rule: its id names the rule before, 0 for none; becomes the one after it
 *
 * Context: May sleep.
 * Return: 0; -ENOENT if there is none; -EINTR if the task is being killed.
 */
int vmademo_rule_next(const struct vmademo_target *of, struct vmademo_rule *rule)
{
	struct vmademo_rules *rules = rules_of(of);
	struct vmademo_rule_entry *entry;
	int err = -ENOENT;

	if (!rules)
		return err;
	if (mutex_lock_killable(&rules->lock))
		return -EINTR;
	list_for_each_entry(entry, &rules->list, list) {
		if (entry->rule.id <= rule->id)
			continue;
		*rule = entry->rule;
		rule->pid = entry->pid ? pid_vnr(entry->pid) : 0;
		rule->hits = atomic64_read(&entry->hits);
		rule->matches = atomic64_read(&entry->matches);
		err = 0;
		break;
	}
	mutex_unlock(&rules->lock);
	return err;
}

/* ---- the end ------------------------------------------------------------- */

/**
 * vmademo_rules_end() - a buffer is about to end, or a tree has: there are no rules any more
 * @rules: its rules, or NULL.  Nobody holds the buffer but write-back; its file in debugfs is
 *         gone
 *
 * Context: May sleep.
 */
void vmademo_rules_end(struct vmademo_rules *rules)
{
	long n;

	if (!rules)
		return;
	mutex_lock(&rules->lock);
	n = rules->nr ? delete_all(rules) : 0;
	mutex_unlock(&rules->lock);
	if (n) {
		atomic_long_add(n, &key_puts);
		schedule_work(&key_work);
	}
}

/**
 * vmademo_rules_free() - after vmademo_rules_end(), and the end of all write-back
 * @rules: the rules, or NULL
 *
 * Context: Any.
 */
void vmademo_rules_free(struct vmademo_rules *rules)
{
	struct vmademo_rule_answer *answer, *next;

	if (!rules)
		return;
	list_for_each_entry_safe(answer, next, &rules->answers, list)
		kfree(answer);
	kfree(rules);
}

/**
 * vmademo_rules_exit() - when all buffers have ended
 *
 * Context: May sleep.
 */
void vmademo_rules_exit(void)
{
	flush_work(&key_work);
}
