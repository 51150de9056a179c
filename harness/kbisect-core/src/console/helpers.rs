//! Functions that are never to blame: they are where a fault shows, not where it comes from.
//!
//! Each family says what its functions *are*. A function belongs to one because of its place in the
//! kernel: it prints reports, enters the kernel, takes locks, keeps a count, hands out memory, copies,
//! formats, holds a data structure together, or is the plain interface of a core (timers, work,
//! driver core, USB) that calls nobody but its caller's own objects. What a subsystem does itself is
//! in none of them, however often it shows in traces.

use std::sync::LazyLock;

use super::names::Names;

/// Which functions to pass over, beyond those that never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Only the common ones.
    Common,
    /// Where a lock is taken: only what takes locks, and what reports.
    LockSite,
    /// A task waits: the scheduler and the waiting primitives say nothing.
    Waiting,
    /// Memory was allocated: so do the allocators and the layers above them.
    Allocation,
    /// A value was not initialised: so do the functions that only transform data.
    Data,
}

/// In which traces the functions of a family are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// All.
    Always,
    /// All but the place where a lock is taken: a call that waits for work or a timer is such a place.
    Running,
    /// Traces of a task that waits.
    Waiting,
    /// Traces of an allocation.
    Allocation,
    /// Traces of a value.
    Data,
    /// The place where a lock is taken.
    LockSite,
}

impl When {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn set(skip: Skip) -> u8 {
        Self::Always.bit()
            | match skip {
                Skip::Common => Self::Running.bit(),
                Skip::LockSite => Self::LockSite.bit(),
                Skip::Waiting => Self::Running.bit() | Self::Waiting.bit(),
                Skip::Allocation => Self::Running.bit() | Self::Allocation.bit(),
                Skip::Data => Self::Running.bit() | Self::Data.bit(),
            }
    }
}

/// Families of functions. Names stand without leading underscores (`__kmalloc` is of the family of
/// `kmalloc`); a star at the end stands for any rest.
const FAMILIES: &[(When, &str)] = &[
    // Reports: panic, WARN and BUG print them, and die() ends them.
    (
        When::Always,
        "panic panic_fmt panic_saved_regs vpanic nmi_panic check_panic_on_warn crash_kexec die \
         die_kernel_fault oops_begin oops_end oops_enter oops_exit do_oops_enter_exit arm64_notify_die \
         arm_notify_die warn warn_printk warn_slowpath_* report_bug bug_table bug_handler handle_bug \
         fixup_bug fixup_exception brk_handler call_break_hook \
         stack_chk_fail fortify_panic* usercopy_abort usercopy_warn \
         rust_begin_unwind rustc::* core::panicking* core::option* core::result* core::slice* \
         rust_helper_*",
    ),
    // Assertions of subsystems: the function that asserts is the caller.
    (When::Always, "assertfail btrfs_assertfail assfail asswarn ext4_assert* bch2_assert*"),
    // Output, and the unwinders that fill it.
    (
        When::Always,
        "dump_stack* dump_backtrace dump_page show_stack show_trace* show_regs* printk* vprintk* print_* \
         hex_dump_to_buffer unwind_backtrace unwind_next_frame arch_stack_walk walk_stackframe \
         stack_trace_consume_entry stack_trace_save* save_stack* save_trace read_once_word_nocheck filter_irq_stacks \
         stack_depot_* depot_* kernel_text_address is_bpf_text_address object_err \
         warn_alloc*",
    ),
    // Sanitizers, coverage and fault injection: compiled or hooked into what is to blame.
    (
        When::Always,
        "asan_* hwasan_* kasan_* msan_* kmsan_* kfence_* tsan_* kcsan_* ubsan_* sanitizer_* \
         handle_overflow val_to_string check_memory_region check_region_inline read_word_at_a_time \
         instrument_* x86_indirect_thunk* x86_return_thunk* write_comp_data kcov_* \
         should_fail* fail_dump",
    ),
    // Lock debugging, object debugging and the checks of context.
    (
        When::Always,
        "lockdep_* lock_acquire* lock_release* lock_is_held* lock_downgrade lock_text* check_prev_add \
         check_prevs_add check_noncircular check_irq_usage check_usage check_chain_key check_path \
         validate_chain mark_lock mark_lock_irq mark_usage mark_held_locks register_lock_class \
         static_obj debug_check_no_* debug_object* debug_print_object debug_smp_processor_id \
         this_cpu_preempt_check check_preemption_disabled might_* cant_sleep cant_migrate schedule_bug \
         schedule_debug trace_hardirqs_* trace_softirqs_* warn_bogus_irq_restore raw_local_irq_restore",
    ),
    // Entries into the kernel by an exception: x86, arm64, arm, riscv, powerpc, s390, MIPS, LoongArch.
    (
        When::Always,
        "asm_exc_* exc_* do_error_trap do_trap do_trap_no_signal do_invalid_op invalid_op do_divide_error \
         divide_error do_general_protection general_protection do_page_fault page_fault \
         async_page_fault do_async_page_fault error_entry error_code common_exception math_error \
         do_int3 int3 \
         el0_* el1_* el0t_* el1t_* el1h_* do_el0_* do_el1_* do_mem_abort do_bad_area do_kernel_fault \
         do_translation_fault do_tag_check_fault do_tag_recovery do_alignment_fault do_sea do_sp_pc_abort \
         do_undefinstr do_debug_exception do_serror arm64_serror_panic arm64_force_sig_fault \
         und_svc und_svc_finish do_undefinstr_svc do_DataAbort do_PrefetchAbort \
         do_trap_break do_trap_error do_trap_insn_illegal do_trap_unknown handle_break \
         ret_from_exception new_vmalloc_restore_context* \
         program_check_exception program_check_common* do_program_check bad_page_fault data_access_* \
         instruction_access_* alignment_exception alignment_common* \
         pgm_check_handler do_pgm_check illegal_op monitor_event_exception do_protection_exception \
         do_dat_exception handle_bp_int do_bp handle_ri_int do_ri handle_adel_int handle_ades_int do_ade \
         do_be handle_bp handle_sys_bp tlb_do_page_fault_*",
    ),
    // Locks: spinning, sleeping, counting; with the architectures' slow paths.
    (
        When::Always,
        "arch_spin_* raw_spin_* do_raw_spin_* spin_* raw_read_* raw_write_* do_raw_read_* do_raw_write_* \
         native_queued_* pv_queued_* queued_read_* queued_spin_* queued_write_* mcs_spin_* osq_* \
         bit_spin_* mutex_* ww_mutex_* rt_mutex_* rt_spin_* rtlock_* rwbase_* rwsem_* call_rwsem_* \
         ldsem_* tty_ldisc_lock* down down_* up up_read up_write downgrade_write percpu_down_* \
         percpu_up_* percpu_rwsem_* local_lock_* seqcount_* kernel::sync*",
    ),
    // Counts that many hold: atomics, reference counters, trackers of references.
    (
        When::Always,
        "atomic_* atomic64_* arch_atomic* raw_atomic* cmpxchg* try_cmpxchg* refcount_* rcuref_* kref_* \
         lockref_* percpu_ref_get* percpu_ref_put* percpu_counter_* ref_tracker_*",
    ),
    // Reading and writing user memory, and iterators over it.
    (
        When::Always,
        "copy_from_user* copy_to_user* copy_user_* copy_from_iter* copy_to_iter* simple_copy_to_iter \
         copy_page_from_iter* copy_page_to_iter* copyin copyout raw_copy_* iov_iter_copy_from_user* \
         iov_iter_revert check_object_size check_heap_object check_copy_size get_user_* put_user_* \
         do_strncpy_from_user ",
    ),
    // Text, bytes and bits.
    (
        When::Always,
        "memcpy* memmove* memset* memcmp memchr* memscan memweight bcmp strlen* strn* strcmp* strcpy* \
         strscpy* strlcpy* strlcat* strcat* strchr* strrchr* strstr* strsep* strspn* strcspn* strpbrk* \
         strcase* strim string string_* sized_strscpy* kstrto* simple_strto* sscanf vsscanf \
         vsnprintf vscnprintf snprintf scnprintf sprintf vsprintf number pointer put_dec* format_decode \
         bin2hex hex2bin bitmap_* find_first_bit find_first_zero_bit find_last_bit find_next_bit* \
         find_next_zero_bit* test_bit set_bit clear_bit test_and_*",
    ),
    // Sums over data.
    (When::Always, "crc16* crc32* crc64* crc_* csum_partial* xxh32* xxh64*"),
    // Registers of devices and ports, behind one instruction.
    (
        When::Always,
        "raw_readb raw_readw raw_readl raw_readq raw_writeb raw_writew raw_writel raw_writeq readb readw \
         readl readq writeb writew writel writeq logic_in* logic_out* ioread* iowrite* inb inw inl outb \
         outw outl",
    ),
    // Data structures of lib/.
    (
        When::Always,
        "list_add* list_del* list_empty* list_move* list_splice* list_replace* hlist_* llist_* klist_* \
         plist_* rb_erase* rb_first* rb_insert_* rb_last* rb_next* rb_prev* rb_replace_* radix_tree_* \
         xa_* xas_* idr_* ida_* interval_tree_* sg_alloc*",
    ),
    // Memory: slabs, pages, addresses; and the wrappers that allocate and fill.
    (
        When::Always,
        "kmalloc* kzalloc* kcalloc* krealloc* kvmalloc* kvzalloc* kvrealloc* kvcalloc* kfree kfree_const \
         kfree_sensitive kzfree kvfree* ksize kmemdup* kvmemdup* kstrdup* kstrndup* devm_k* \
         kmem_cache_* slab_* slob_* do_slab_free cache_alloc* cache_free* cache_grow* allocate_slab \
         alloc_slab_page new_slab* free_large_kmalloc large_kmalloc* large_kfree mempool_alloc* \
         mempool_free* vmalloc* vzalloc* vfree* vunmap* alloc_vmap_area get_vm_area* remove_vm_area \
         alloc_pages* alloc_frozen_pages* get_free_pages* get_zeroed_page* get_page_from_freelist \
         free_pages* free_page free_unref_* free_frozen_pages* virt_to_phys* set_track*",
    ),
    // Pages and inodes: a flag, a count, a reference.
    (
        When::Always,
        "folio_unlock unlock_page folio_put* put_page get_page compound_head drop_nlink inc_nlink \
         set_nlink clear_nlink iput",
    ),
    // Packet buffers: their edges, and their end.
    (
        When::Always,
        "skb_put* skb_push skb_pull* skb_panic skb_over_panic skb_under_panic pskb_* kfree_skb* \
         sk_skb_reason_drop consume_skb",
    ),
    // RCU's readers, and callbacks handed to it.
    (When::Always, "call_rcu* call_srcu* rcu_lock_* rcu_read_* kfree_call_rcu"),
    // Timers.
    (
        When::Running,
        "add_timer* mod_timer* del_timer* timer_delete* timer_shutdown* timer_reduce try_to_del_timer* \
         internal_add_timer enqueue_timer detach_timer detach_if_pending lock_timer_base init_timer* \
         timer_init_key timer_is_static_object delayed_work_timer_fn sk_stop_timer* sk_reset_timer",
    ),
    // Work: given to a queue, taken back, waited for. Threads: made and stopped.
    (
        When::Running,
        "init_work queue_work* queue_delayed_work* mod_delayed_work* insert_work cancel_work* \
         cancel_delayed_work* flush_work flush_delayed_work start_flush_work try_to_grab_pending \
         work_grab_pending kthread_stop* kthread_flush_work kthread_cancel_* kthread_queue_work",
    ),
    // A workqueue's loop stands for the pseudo lock that its work holds.
    (When::LockSite, "process_one_work process_scheduled_works worker_thread"),
    // Completions, and giving up the processor.
    (
        When::Running,
        "complete complete_all wait_for_common* wait_for_completion* schedule schedule_timeout* \
         schedule_preempt_disabled schedule_hrtimeout* preempt_schedule* try_to_freeze",
    ),
    // The driver core: objects, devices, their resources, files and events.
    (
        When::Always,
        "kobject_* kset_* device_add device_del device_register device_unregister device_release \
         device_for_each_child get_device get_device_parent put_device cleanup_glue_dir devres_* \
         add_uevent_var sysfs_remove_group* dpm_sysfs_* proc_create* proc_mkdir* proc_register \
         i2c_del_adapter unregister_client",
    ),
    // The core of network devices takes them down for whoever made them.
    (When::Always, "unregister_netdevice_many* unregister_netdevice_queue rollback_registered*"),
    // The USB core: requests of drivers.
    (
        When::Always,
        "usb_submit_urb usb_hcd_submit_urb usb_hcd_map_urb_for_dma usb_kill_urb usb_kill_anchored_urbs \
         usb_poison_urb usb_unlink_urb usb_start_wait_urb usb_bulk_msg usb_control_msg* \
         usb_internal_control_msg usb_interrupt_msg",
    ),
    // A task that waits: bits, pages, buffers, sockets, work, grace periods of the network.
    (
        When::Waiting,
        "bit_wait* out_of_line_wait_on_bit* wait_on_* wait_event* wait_rcu_gp wait_woken prepare_to_wait \
         do_wait_for_common folio_lock* folio_wait_bit* lock_page* lock_buffer lock_sock* \
         do_read_cache_folio do_read_cache_page console_lock io_schedule* context_switch switch_to \
         cond_resched* do_nanosleep msleep* usleep_range* synchronize_net rela_dyn_start",
    ),
    // Allocators of objects, above those of memory.
    (
        When::Allocation,
        "create_object kmemleak_* kasprintf kvasprintf* alloc_skb* sk_alloc sk_prot_alloc \
         sock_alloc_send_* sock_kmalloc sock_wmalloc new_inode alloc_inode percpu_ref_init pcpu_alloc* \
         post_alloc_hook prep_new_page reset_page_owner set_page_owner folio_alloc* vma_alloc_folio* \
         filemap_alloc_folio* filemap_get_folio* pagecache_get_page page_pool_* skb_page_frag_refill",
    ),
    // Ciphers and digests: what comes out is as undefined as what went in.
    (
        When::Data,
        "aes_* aesti_* aesni_* sha1_* sha256_* sha512_* sha3_* blake2* chacha* poly1305* cipher_* drbg_* \
         crypto_* rng_setkey",
    ),
];

/// Says whether a function (without suffixes) is to be passed over.
pub(super) fn is_helper(name: &str, skip: Skip) -> bool {
    TABLE.of(name.trim_start_matches('_')) & When::set(skip) != 0
}

/// The families, as a table.
static TABLE: LazyLock<Names> =
    LazyLock::new(|| {
        Names::new(FAMILIES.iter().flat_map(|(when, names)| {
            names.split_ascii_whitespace().map(|name| (name, when.bit()))
        }))
    });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_said_twice() {
        let all: Vec<&str> =
            FAMILIES.iter().flat_map(|(_, names)| names.split_ascii_whitespace()).collect();
        for (i, name) in all.iter().enumerate() {
            assert!(!name.starts_with('_') && name.len() > 1, "{name}");
            assert!(!name.trim_end_matches('*').contains('*'), "{name}");
            assert!(!all[..i].contains(name), "{name} is there twice");
        }
        for (when, names) in FAMILIES {
            let covers = |name: &&str| {
                let covering = |(other, text): &(&When, &str)| {
                    *other == when
                        && text.split_ascii_whitespace().filter(|p| p != name).any(|prefix| {
                            prefix.strip_suffix('*').is_some_and(|p| name.starts_with(p))
                        })
                };
                FAMILIES.iter().map(|(other, text)| (other, *text)).any(|f| covering(&f))
            };
            let covered = names.split_ascii_whitespace().find(covers);
            assert_eq!(covered, None, "a prefix covers it already");
        }
    }

    #[test]
    fn knows_helpers() {
        for name in
            ["_raw_spin_lock", "panic", "__kmalloc", "___slab_alloc", "__list_del_entry_valid"]
        {
            assert!(is_helper(name, Skip::Common), "{name}");
        }
        for name in
            ["nft_do_chain", "schedule_tail", "list_lru_add", "wait_on_bit", "strp_data_ready"]
        {
            assert!(!is_helper(name, Skip::Common), "{name}");
        }
        assert!(is_helper("io_schedule", Skip::Waiting) && !is_helper("io_schedule", Skip::Common));
        assert!(is_helper("kmemleak_alloc", Skip::Allocation));
        assert!(!is_helper("flush_work", Skip::LockSite) && is_helper("flush_work", Skip::Common));
        assert!(is_helper("process_one_work", Skip::LockSite));
        assert!(!is_helper("process_one_work", Skip::Common));
    }
}
