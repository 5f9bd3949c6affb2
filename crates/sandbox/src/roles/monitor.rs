//! The cage of the monitor: root's identity, the host keys, and none of root's reach.
//!
//! The monitor reads configuration and authorized_keys anywhere, asks NSS for accounts, talks over AF_UNIX sockets, and
//! decides. It writes no file, runs no program, and has no socket but those. Account modules of the administrator's
//! choice (`nsswitch.conf`) run inside of it, so what the table does not hold is an error for the caller and not the end
//! of the process: a module's odd call must not take the service down. The calls that no module has a reason for, but
//! an intruder would, kill.

use libc::{EAFNOSUPPORT, ENOSYS};
use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::{Files, Identity, Profile};
use crate::rule::{Rule, Verdict, allow, int, kill, own_process, refuse, sys, with, without, zero};

/// The monitor's cage.
pub(super) const PROFILE: Profile = Profile {
    rules: RULES,
    default: Verdict::Refuse(libc::EPERM),
    files: Files::Readable,
    // Reading the authorized_keys of any user, and doing so as that user where a home is on NFS with root squashed.
    capabilities: CapabilitySet::DAC_READ_SEARCH
        .union(CapabilitySet::SETUID)
        .union(CapabilitySet::SETGID),
    identity: Identity::Root,
    limits: &[
        // A core file would hold host keys.
        (Resource::Core, 0),
    ],
};

#[rustfmt::skip] // A table: one rule per line as far as it fits.
const RULES: &[Rule] = &[
    // Files, read only: landlock refuses every other way to open them.
    allow(sys!(SYS_openat), OPEN),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_open), OPEN),
    allow(sys!(SYS_openat2), "openat2(2) with RESOLVE_NO_SYMLINKS and kin, for files in directories of users"),
    allow(sys!(SYS_read), "files, and every socket"),
    allow(sys!(SYS_pread64), "the dynamic loader, for account modules"),
    allow(sys!(SYS_readv), "gRPC and D-Bus"),
    allow(sys!(SYS_lseek), "stdio of account modules"),
    allow(sys!(SYS_fadvise64), "stdio of account modules, and whole-file reads"),
    allow(sys!(SYS_getdents64), "Include globs, drop-in directories, systemd's userdb directory"),
    allow(sys!(SYS_newfstatat), STAT),
    allow(sys!(SYS_statx), STAT),
    allow(sys!(SYS_fstat), STAT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_stat), STAT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_lstat), STAT),
    allow(sys!(SYS_fstatfs), "account modules ask whether /proc is /proc"),
    allow(sys!(SYS_statfs), "account modules ask whether a file system is there"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_access), STAT),
    allow(sys!(SYS_faccessat), STAT),
    allow(sys!(SYS_faccessat2), STAT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_readlink), STAT),
    allow(sys!(SYS_readlinkat), STAT),
    allow(sys!(SYS_getcwd), "resolving relative names"),

    // Writing: to descriptors that are open. None of them is a file that could be opened here.
    allow(sys!(SYS_write), "eventfds, sockets, standard error"),
    allow(sys!(SYS_writev), "gRPC and D-Bus"),
    allow(sys!(SYS_close), "the end of a descriptor"),
    allow(sys!(SYS_fcntl), "non-blocking mode, close-on-exec, duplicates, and locks of account modules"),
    allow(sys!(SYS_ioctl), "std makes sockets non-blocking by FIONBIO (0x5421), account modules ask for the bytes that \
        wait (FIONREAD, 0x541B) or whether a file is a terminal (TCGETS, 0x5401)")
        .when(&[&[int(1, 0x5421)], &[int(1, 0x541B)], &[int(1, 0x5401)]]),
    allow(sys!(SYS_dup), "stdio of account modules"),
    allow(sys!(SYS_pipe2), "what commands of the configuration write; account modules wake their helpers"),

    // Sockets of this machine only.
    allow(sys!(SYS_socket), "D-Bus, the journal, the service manager, and the services behind NSS").when(&[&[int(0, libc::AF_UNIX)]]),
    allow(sys!(SYS_socketpair), "lanes and gRPC streams of workers and sessions").when(&[&[int(0, libc::AF_UNIX)]]),
    allow(sys!(SYS_connect), "D-Bus, the journal, the service manager, and the services behind NSS"),
    allow(sys!(SYS_accept4), "connections of clients and workers, on the sockets of the socket unit"),
    allow(sys!(SYS_sendmsg), "descriptors to workers, to the service manager and over D-Bus"),
    allow(sys!(SYS_sendto), "gRPC, D-Bus, the journal and account modules"),
    allow(sys!(SYS_recvmsg), "D-Bus, account modules, and the end of a lane"),
    allow(sys!(SYS_recvfrom), "gRPC, D-Bus and account modules"),
    allow(sys!(SYS_shutdown), "the end of a connection, LoginGraceTime first of all"),
    allow(sys!(SYS_getsockopt), "identity of the peer (SO_PEERCRED, SO_PEERPIDFD), routing domain of a client, errors"),
    allow(sys!(SYS_setsockopt), "buffer sizes and options of accepted connections"),
    allow(sys!(SYS_getsockname), "the address a client came to, for Match and the journal"),
    allow(sys!(SYS_getpeername), "the address a client came from: admission rests on it"),

    // Waiting.
    allow(sys!(SYS_epoll_create1), WAIT),
    allow(sys!(SYS_epoll_ctl), WAIT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_epoll_wait), WAIT),
    allow(sys!(SYS_epoll_pwait), WAIT),
    allow(sys!(SYS_epoll_pwait2), WAIT),
    allow(sys!(SYS_eventfd2), WAIT),
    allow(sys!(SYS_timerfd_create), "event loops inside of account modules (sd-event)"),
    allow(sys!(SYS_timerfd_settime), "event loops inside of account modules (sd-event)"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_poll), WAIT),
    allow(sys!(SYS_ppoll), WAIT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_select), "account modules of an older make"),
    allow(sys!(SYS_pselect6), "account modules of an older make"),
    allow(sys!(SYS_futex), "locks between threads"),
    allow(sys!(SYS_sched_yield), "back-off of a spinning lock"),
    allow(sys!(SYS_clock_nanosleep), "time-outs of threads"),
    allow(sys!(SYS_nanosleep), "time-outs of threads"),
    allow(sys!(SYS_restart_syscall), "the kernel's own continuation of a wait after SIGSTOP and SIGCONT"),

    // Threads, not processes.
    allow(sys!(SYS_clone), "blocking look-ups run on threads; a new process has no CLONE_THREAD")
        .when(&[&[with(0, libc::CLONE_THREAD | libc::CLONE_VM)]]),
    refuse(sys!(SYS_clone3), ENOSYS, "its flags are behind a pointer, which seccomp cannot read: libc falls back to clone"),
    allow(sys!(SYS_set_robust_list), "the start of a thread"),
    allow(sys!(SYS_rseq), "the start of a thread"),
    allow(sys!(SYS_set_tid_address), "the start of a thread"),
    allow(sys!(SYS_membarrier), "the dynamic loader and lock-free tables"),
    allow(sys!(SYS_gettid), "the journal"),
    allow(sys!(SYS_getpid), "the journal, and the random generator's check for a fork"),
    allow(sys!(SYS_getppid), "the service manager protocol"),
    allow(sys!(SYS_sched_getaffinity), "the number of processors"),
    allow(sys!(SYS_sched_getparam), "the start of a thread"),
    allow(sys!(SYS_sched_getscheduler), "the start of a thread"),
    allow(sys!(SYS_prctl), "names of threads, and the self-check that closes the cage; no keep-caps, no securebits")
        .when(&[
            &[int(0, libc::PR_SET_NAME)],
            &[int(0, libc::PR_GET_NAME)],
            &[int(0, libc::PR_GET_SECCOMP)],
            &[int(0, libc::PR_GET_NO_NEW_PRIVS)],
            &[int(0, libc::PR_GET_DUMPABLE)],
        ]),

    // Identity: for reading a user's files as that user, one thread at a time.
    allow(sys!(SYS_setresuid), IDENTITY),
    allow(sys!(SYS_setresgid), IDENTITY),
    allow(sys!(SYS_setgroups), IDENTITY),
    allow(sys!(SYS_getuid), WHO),
    allow(sys!(SYS_geteuid), WHO),
    allow(sys!(SYS_getgid), WHO),
    allow(sys!(SYS_getegid), WHO),
    allow(sys!(SYS_getresuid), WHO),
    allow(sys!(SYS_getresgid), WHO),
    allow(sys!(SYS_getgroups), WHO),
    allow(sys!(SYS_capget), "which capabilities systemd left us"),
    allow(sys!(SYS_pidfd_open), "identity of a worker: the process that holds the other end"),

    // Memory. Code comes from files only (account modules), and nothing is writable and executable.
    allow(sys!(SYS_brk), "small allocations"),
    allow(sys!(SYS_mmap), "allocations, and account modules: what is executable comes from a file and is not writable")
        .when(&[
            &[without(2, libc::PROT_EXEC)],
            &[with(2, libc::PROT_EXEC), without(2, libc::PROT_WRITE), without(3, libc::MAP_ANONYMOUS)],
        ]),
    allow(sys!(SYS_mprotect), "relocations and thread stacks: data must not become code")
        .when(&[&[without(2, libc::PROT_EXEC)]]),
    allow(sys!(SYS_munmap), "returns memory"),
    allow(sys!(SYS_mremap), "grows a large allocation in place"),
    allow(sys!(SYS_madvise), "returns pages, thread stacks, and the random generator's state"),
    allow(sys!(SYS_prlimit64), "account modules and std ask for limits; they cannot be raised")
        .when(&[&[int(0, 0), zero(2)]]),

    // Randomness, time, the system.
    allow(sys!(SYS_getrandom), "cookies, boot identifiers, seeds"),
    allow(sys!(SYS_clock_gettime), "deadlines, where the vDSO cannot answer"),
    allow(sys!(SYS_clock_getres), "event loops inside of account modules (sd-event)"),
    allow(sys!(SYS_gettimeofday), "account modules, where the vDSO cannot answer"),
    allow(sys!(SYS_uname), "host name for the journal and for account modules"),
    allow(sys!(SYS_sysinfo), "libc sorts by it"),

    // Signals and the end.
    allow(sys!(SYS_rt_sigprocmask), "threads and account modules block signals"),
    allow(sys!(SYS_rt_sigaction), "handlers of std and of account modules"),
    allow(sys!(SYS_rt_sigreturn), "the end of a handler"),
    allow(sys!(SYS_rt_sigtimedwait), "event loops inside of account modules"),
    allow(sys!(SYS_signalfd4), "SIGTERM and SIGHUP as events"),
    allow(sys!(SYS_sigaltstack), "each thread's stack for the overflow handler"),
    allow(sys!(SYS_tgkill), "abort(3), and libc's signal by which all threads change identity together")
        .when(&[&[own_process(0)]]),
    allow(sys!(SYS_exit), "the end of a thread"),
    allow(sys!(SYS_exit_group), "the end of the process"),

    // Some errors must be the expected ones, so that the caller's next idea is a good one.
    refuse(sys!(SYS_socket), EAFNOSUPPORT, "account modules that look for a network find none")
        .when(&[&[int(0, libc::AF_INET)], &[int(0, libc::AF_INET6)], &[int(0, libc::AF_NETLINK)]]),

    // What no account module has a reason for.
    kill(sys!(SYS_execve), EXEC),
    kill(sys!(SYS_execveat), EXEC),
    #[cfg(target_arch = "x86_64")]
    kill(sys!(SYS_fork), EXEC),
    #[cfg(target_arch = "x86_64")]
    kill(sys!(SYS_vfork), EXEC),
    kill(sys!(SYS_ptrace), OTHERS),
    kill(sys!(SYS_process_vm_readv), OTHERS),
    kill(sys!(SYS_process_vm_writev), OTHERS),
    kill(sys!(SYS_pidfd_getfd), OTHERS),
    kill(sys!(SYS_pidfd_send_signal), OTHERS),
    kill(sys!(SYS_mount), WORLD),
    kill(sys!(SYS_umount2), WORLD),
    kill(sys!(SYS_move_mount), WORLD),
    kill(sys!(SYS_open_tree), WORLD),
    kill(sys!(SYS_fsopen), WORLD),
    kill(sys!(SYS_mount_setattr), WORLD),
    kill(sys!(SYS_pivot_root), WORLD),
    kill(sys!(SYS_chroot), WORLD),
    kill(sys!(SYS_unshare), WORLD),
    kill(sys!(SYS_setns), WORLD),
    kill(sys!(SYS_open_by_handle_at), WORLD),
    kill(sys!(SYS_bpf), KERNEL),
    kill(sys!(SYS_perf_event_open), KERNEL),
    kill(sys!(SYS_userfaultfd), KERNEL),
    kill(sys!(SYS_io_uring_setup), KERNEL),
    kill(sys!(SYS_keyctl), KERNEL),
    kill(sys!(SYS_add_key), KERNEL),
    kill(sys!(SYS_request_key), KERNEL),
    kill(sys!(SYS_init_module), KERNEL),
    kill(sys!(SYS_finit_module), KERNEL),
    kill(sys!(SYS_kexec_load), KERNEL),
    kill(sys!(SYS_personality), KERNEL),
    kill(sys!(SYS_memfd_create), "a memory file is code that comes from a file and yet from the attacker"),
];

const OPEN: &str = "host keys, configuration, authorized_keys, account databases and modules; landlock lets only reads through";
const STAT: &str = "owner and mode of each directory on the way to a key file (StrictModes), and what libc asks on its own";
const WAIT: &str = "the runtime's and the account modules' event queues";
const IDENTITY: &str = "a home on NFS with root squashed opens for its owner only";
const WHO: &str = "credentials in D-Bus authentication, and account modules";
const EXEC: &str = "nothing is ever executed or forked here: systemd starts processes";
const OTHERS: &str = "no business with other processes";
const WORLD: &str = "no business with what the file system looks like";
const KERNEL: &str = "attack surface of the kernel without a use here";
