//! Functions that are never to blame: they are where a fault shows, not where it comes from.
//!
//! Each family says what its functions *are*, by the words that the kernel names them with. A function
//! belongs to one because of what it does for its caller: it prints reports, takes locks, keeps a
//! count, copies, formats, hands out memory, holds a data structure together, or is the plain
//! interface of a core (timers, work, driver core, USB) that acts on its caller's own objects. What a
//! subsystem does itself is in none of them, however often it shows in traces.

use std::sync::LazyLock;

use super::names::Names;

/// Which functions to pass over: those that never count, and more, by what is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Only those that never count.
    Common,
    /// The place where a lock is taken.
    LockSite,
    /// A lock that lockdep finds in a state that it should not be in.
    LockState,
    /// A lock whose own word is not what it should be.
    LockWord,
    /// A lock whose class was never set up.
    LockKey,
    /// RCU is not held.
    Rcu,
    /// A CPU that does not get on.
    Stall,
    /// A stack that ran over its end.
    StackEnd,
    /// A task that waits.
    Waiting,
    /// A task that gives up the processor where it may not.
    Schedule,
    /// Data of one CPU, used where the task may move.
    Preemption,
    /// Memory that was allocated and lost.
    Allocation,
    /// A page, by where it was allocated.
    Page,
    /// Memory that was given back wrongly.
    Free,
    /// A value that was not initialised.
    Data,
    /// An operation without a defined result.
    Undefined,
    /// An object that is used before or after its life.
    Object,
    /// A copy from or to user space that leaves its object.
    Copy,
    /// A name in /proc that is there already.
    Proc,
    /// An allocation that was asked for wrongly.
    Request,
    /// A request to a USB device.
    Usb,
    /// A broken invariant, by `BUG()`.
    Bug,
}

impl Skip {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// In all reports.
const ALWAYS: u32 = u32::MAX;

/// In these reports.
const fn only(skips: &[Skip]) -> u32 {
    let (mut bits, mut i) = (0, 0);
    while i < skips.len() {
        bits |= skips[i].bit();
        i += 1;
    }
    bits
}

/// Families of functions: patterns (a star stands for anything, leading underscores do not count).
const FAMILIES: &[(u32, &str)] = &[
    // What reports: panic(), WARN(), BUG() and die(), their texts, and the assertions of subsystems,
    // which fail in their caller.
    (
        ALWAYS,
        "*panic* warn warn_* *warn_slowpath* *report_bug* *fixup_bug* handle_bug bug_handler \
         ubsan_handler brk_handler call_break_hook die die_kernel_fault oops_* arm64_notify_die \
         arm_notify_die *assertfail* *stack_chk_fail* *fortify_report* get_taint *print_tainted* \
         *print_report* *print_address_description* *print_usage_bug* *print_unlock* \
         *imbalance_bug* refcount_error_report rust_begin_unwind rustc::* core::*",
    ),
    // What prints, and what formats for it.
    (
        ALWAYS,
        "*printk* *snprintf* *scnprintf* *asprintf* sprintf vsprintf va_format *string* *pointer* \
         hex_dump_to_buffer print_hex_dump* *dev_emerg* *dev_alert* *dev_crit* *dev_err* *dev_warn* \
         *dev_notice* *dev_info*",
    ),
    // What unwinds the stack and shows it, and trace points, which only look.
    (
        ALWAYS,
        "*dump_stack* *show_stack* *walk_stack* *dump_backtrace* unwind_backtrace arch_stack_walk \
         stack_trace_save* stack_trace_consume_entry save_stack_trace* *perf_trace*",
    ),
    // What instruments: sanitizers, their checks of an access, coverage, branch thunks.
    (
        ALWAYS,
        "*sanitizer* *asan_* *kasan* *msan_* *kmsan* *kcsan* tsan_* ubsan_* *check_memory_region* \
         *check_region_inline* *check_object* *check_heap_object* *once_word_nocheck* \
         read_word_at_a_time instrument_* write_comp_data *_indirect_thunk_* *_return_thunk*",
    ),
    // What enters the kernel by an exception that a check raises on purpose (a trap instruction), or
    // that an access does: x86, arm64, arm, riscv, powerpc, s390, MIPS, LoongArch.
    (
        ALWAYS,
        "*invalid_op* *do_error* *do_trap* *_trap do_undefinstr* exc_* asm_exc_* do_*_fault \
         el1_* el1h_* do_el1_* do_mem_abort do_bad_area do_kernel_fault do_translation_fault \
         do_tag_check_fault do_tag_recovery do_debug_exception do_sea und_svc* handle_break \
         program_check_* do_program_check pgm_check* do_pgm_check illegal_op \
         monitor_event_exception do_bp handle_bp_int",
    ),
    // What checks locks, objects and contexts, in a debugging kernel.
    (
        ALWAYS,
        "*lockdep* *lock_acquire* *lock_release* *lock_class* *mark_lock* *held_locks* \
         trace_hardirq* trace_softirq* *debug_object* timer_is_static_object work_is_static_object \
         *might_sleep* *might_fault* *might_resched* *seqprop_assert* *warn_bogus*",
    ),
    // What takes, waits for and gives back a lock.
    (
        ALWAYS,
        "*spin_lock* *spin_trylock* *spin_unlock* *raw_spin_rq* *read_lock* *read_trylock* \
         *read_unlock* *write_lock* *write_trylock* *write_unlock* mutex_* ww_mutex_* rt_mutex_* \
         rwsem_* *_and_lock* *owner_on_cpu* *osq_lock* *osq_unlock* down down_* *down_read* *down_write* \
         *down_trylock* up *up_read* *up_write* *bh_enable* *bh_disable* kernel::sync*",
    ),
    // What wakes up who waits; and a wait that only one event ends.
    (ALWAYS, "complete complete_all *wait_for_completion* *__wake_up* *finish_wait*"),
    // What counts: atomic operations and bits, references and their trackers.
    (
        ALWAYS,
        "*atomic_dec* *atomic_inc* *atomic_read* *atomic_set* *atomic_or* *atomic_xor* *atomic_and* \
         *atomic_add* *atomic_sub* *atomic_fetch* *atomic_xchg* *atomic_cmpxchg* *atomic_try* \
         atomic64_* *set_bit* *clear_bit* *change_bit* *test_bit* refcount_* rcuref_* kref_* \
         *ref_tracker*",
    ),
    // What copies, compares and measures bytes and text, and sums over them.
    (
        ALWAYS,
        "*memcpy* *memcmp* *memset* *memchr* *memmove* *memdup* *strcmp* *strncmp* *strcpy* *strncpy* \
         *strlcpy* *strscpy* strcat strncat strlcat *strlen* *strnlen* *strchr* *strstr* *strnstr* \
         *strdup* *strndup* crc16* crc32* crc64* crc4* crc7* crc8* crc_itu_t*",
    ),
    // What copies from and to user space, and through iterators over it.
    (
        ALWAYS,
        "*copy_to_user* *copy_from_user* *get_user* *put_user* *copy_to_iter* *copy_from_iter* \
         *copy_page_to_iter* *copy_page_from_iter* *copy_folio_to_iter* *copy_folio_from_iter* copyin \
         copyout *extract_user_to_sg* *extract_iter_to_sg*",
    ),
    // What holds lib/'s data structures together.
    (
        ALWAYS,
        "*list_add* *list_del* *list_replace* *list_move* *list_splice* klist_* rb_* xas_start xas_load \
         xas_find* *rhashtable_lookup* ida_free",
    ),
    // What hands out memory and takes it back: slabs, pages, virtual ranges; and what an address is.
    (
        ALWAYS,
        "*malloc* *zalloc* *calloc* *krealloc* *kmem_cache* *slab_* *allocate_slab* *alloc_page* \
         *alloc_frozen_pages* *warn_alloc* kfree kvfree kfree_sensitive kzfree kfree_const \
         *free_large_kmalloc* *kfree_skb* *phys_addr* virt_to_phys*",
    ),
    // What finds, locks and marks pages of the page cache for a file system; and drops what a file
    // system has a reference to.
    (
        ALWAYS,
        "*folio_alloc* *folio_unlock* *filemap_alloc_folio* *filemap_get_folio* *find_or_create_page* \
         *do_read_cache_folio* *read_cache_page* *pagecache_get_page* *grab_cache_page_write_begin* \
         lock_page* unlock_page* *find_lock_entries* *truncate_inode_pages_range* *mark_buffer_dirty* \
         iput iput_final ihold *drop_nlink* *dput",
    ),
    // What sets, moves and stops a timer of its caller.
    (ALWAYS, "mod_timer *del_timer* timer_delete* lock_timer_base *sk_stop_timer*"),
    // What queues work of its caller, waits for it and cancels it; what stops a thread.
    (
        ALWAYS,
        "*queue_work* *queue_delayed_work* insert_work *flush_work* *cancel_work_sync* cancel_work_timer \
         cancel_work *drain_workqueue* *destroy_workqueue* *try_to_grab_pending* *kthread_stop* \
         cleanup_srcu_struct",
    ),
    // The driver core: what adds, announces, takes down and frees a device of its caller, with its
    // files, resources and children.
    (
        ALWAYS,
        "*kobject_* *add_uevent_var* *get_device_parent* put_device *device_add* *device_del* \
         device_register *device_unregister* *device_destroy* *device_release* *device_for_each_child* \
         *device_remove_file* *sysfs_remove* *devres_release_all*",
    ),
    // The same for a class of devices: network, terminals, random numbers, I2C.
    (
        ALWAYS,
        "*unregister_netdev* *rollback_registered* *tty_unregister_device* *hwrng_unregister* \
         *i2c_del_adapter* unregister_client",
    ),
    // What hands a driver's request to a USB controller, and takes it back.
    (
        ALWAYS,
        "*usb_submit_urb* *usb_hcd_submit_urb* *usb_kill_urb* *usb_kill_anchored_urbs* *usb_control_msg* \
         dummy_urb_enqueue",
    ),
    // What reads or writes one register or port.
    (ALWAYS, "*readb *readw *readl *readq *writeb *writew *writel *writeq *logic_in* *logic_out*"),
    // A workqueue takes the pseudo locks of its work.
    (
        only(&[Skip::LockSite]),
        "process_one_work process_scheduled_works *flush_workqueue* *drain_workqueue* \
         *destroy_workqueue*",
    ),
    // A socket's lock is taken for whoever works on the socket.
    (only(&[Skip::LockState]), "*lock_sock* *release_sock*"),
    // What looks at the word of a lock, and what takes the lock by it.
    (only(&[Skip::LockWord]), "*spin_* rwlock_* *_lock* *_unlock*"),
    // A lock is set up where it is declared, not where it is taken.
    (only(&[Skip::LockKey]), "*stack* *lock* *IRQ* static_obj"),
    // RCU itself, and memory, which RCU checks look into.
    (only(&[Skip::Rcu]), "*rcu* *kmem* *slab*"),
    // The timer interrupt that notices a stall, and RCU, which complains of it.
    (only(&[Skip::Stall]), "*rcu* *apic_timer_interrupt*"),
    // The scheduler's own way out of a task, and sleeping for a time.
    (only(&[Skip::Schedule]), "*schedule* usleep_range* msleep*"),
    // The same, where the end of a stack is checked; and what is called when a stack has no room.
    (only(&[Skip::StackEnd]), "*schedule* *retint_kernel* *bad_stack*"),
    // Whatever waits, for a lock, an event, a thread, a grace period or a time.
    (
        only(&[Skip::Waiting]),
        "*sched* *_lock* *_slowlock* *down* *rwsem* *completion* *kthread* *wait* *synchronize* \
         *context_switch* *switch_to* *cancel_delayed_work* *rcu_barrier* msleep* usleep_range* \
         do_nanosleep",
    ),
    // What looks at the CPU's number and finds that it may change.
    (only(&[Skip::Preemption]), "*preempt* debug_* *processor_id* *this_cpu*"),
    // Allocators of objects, above those of memory.
    (
        only(&[Skip::Allocation]),
        "*alloc* *kmemleak* *kmem* *slab* *mmap* *create_object* *idr_get* *list_lru_init* *pcpu_create*",
    ),
    // Allocators of pages, their owners' accounts, and what puts a page back.
    (
        only(&[Skip::Page]),
        "*alloc* *vmap* *page_owner* *free_page* *put_page* *get_page* *update_page* *release_page* \
         *free_unref* folio* *truncate_inode_pages* *page_frag_free* prep_new_page",
    ),
    // What gives memory back, to whom it never belonged.
    (only(&[Skip::Free]), "*slab_* *kfree* *vunmap* *vfree*"),
    // What transforms or passes on a value that was undefined before: ciphers, buffers, messages.
    (
        only(&[Skip::Data]),
        "*alloc_skb* netlink_ack netlink_rcv_skb *_encrypt crypto_* cipher_* drbg_* rng_*",
    ),
    // What computes on behalf of UBSAN.
    (only(&[Skip::Undefined]), "*overflow*"),
    // Users of object debugging: timers, work, RCU heads, counters; and what frees memory with a live
    // object in it.
    (
        only(&[Skip::Object]),
        "*debug_* *rcu* *hrtimer_* *timer_* *work_* *percpu_* *vunmap* *vfree* *__free_*",
    ),
    // Checks of user copies.
    (only(&[Skip::Copy]), "*usercopy* *__check*"),
    // /proc's own functions, below who makes a file there.
    (only(&[Skip::Proc]), "*proc_*"),
    // Allocators that were asked for the impossible.
    (only(&[Skip::Request]), "*slab* *kmem* *vmalloc*"),
    // The USB core's synchronous requests.
    (
        only(&[Skip::Usb]),
        "usb_start_wait_urb usb_bulk_msg usb_interrupt_msg usb_internal_control_msg",
    ),
    // Packet buffers check their edges for whoever moves them.
    (only(&[Skip::Bug]), "skb_*"),
];

/// Says whether a function (without suffixes) is to be passed over.
pub(super) fn is_helper(name: &str, skip: Skip) -> bool {
    TABLE.of(name) & skip.bit() != 0
}

/// The families, as a table.
static TABLE: LazyLock<Names> = LazyLock::new(|| {
    Names::new(FAMILIES.iter().flat_map(|(bits, patterns)| {
        patterns.split_ascii_whitespace().map(|pattern| (pattern, *bits))
    }))
});
