//! The cage of the worker: everything the network sends is parsed in here, before login and after it.
//!
//! What is left is computing, one connection, and the descriptors that came in with it. Whatever is not in the table
//! kills the process: a worker has no business with it, so it is an attack or a bug, and either should be loud. The
//! exception are calls by which libraries look for a file or a processor count on their own. Those are refused
//! politely: dying of a look-up helps nobody, and landlock alone would not stop them all (it does not cover `stat(2)`).
//!
//! Deliberately absent, although convenient:
//!
//! * `sendmsg`: it could pass descriptors on, and address any AF_UNIX datagram socket that some path leads to. The borders
//!   make do with `sendto` without an address: descriptors only ever flow into this process.
//! * `newfstatat` and `statx`, even with `AT_EMPTY_PATH`: seccomp cannot see whether the path behind the pointer is
//!   really empty. `fstat` says the same about a descriptor.
//! * `clone`: with one thread there is nobody who could change what an argument points to while it is checked.
//! * `kill`, in any form but the signal by which abort(3) ends its own process.

use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::{Files, Identity, Profile};
use crate::rule::{
    Rule, Verdict, allow, int, own_process, refuse, request, sys, with, without, zero,
};

/// The worker's cage.
pub(super) const PROFILE: Profile = Profile {
    rules: RULES,
    default: Verdict::Kill,
    files: Files::Nothing,
    capabilities: CapabilitySet::empty(),
    identity: Identity::Unprivileged,
    limits: &[
        // A core file would hold session keys and a user's traffic.
        (Resource::Core, 0),
        // Should the descriptor of a regular file ever come in, nothing can be appended to it.
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
    ],
};

#[rustfmt::skip] // A table: one rule per line as far as it fits.
const RULES: &[Rule] = &[
    // Bytes in and out of descriptors that were handed in.
    allow(sys!(SYS_read), "the connection, the gRPC streams, and the user's pipes and terminals"),
    allow(sys!(SYS_write), "the same, and the wake-up of the runtime through its eventfd"),
    allow(sys!(SYS_writev), "a batch of packets, or HTTP/2 frame heads and bodies, in one call"),
    allow(sys!(SYS_recvfrom), "reads of sockets: recv(2) is this call without an address"),
    allow(sys!(SYS_sendto), "writes to connected sockets: send(2) is this call without an address. With one it would \
        reach any AF_UNIX datagram socket")
        .when(&[&[zero(4), zero(5)]]),
    allow(sys!(SYS_recvmsg), "the lane: a message and its descriptors (SCM_RIGHTS)"),
    allow(sys!(SYS_shutdown), "the end of one direction of a channel, RFC 4254 section 5.3"),
    allow(sys!(SYS_close), "the end of a channel or of the connection"),
    allow(sys!(SYS_fstat), "what kind of descriptor the lane brought; by descriptor only, never by path"),

    // Properties of those descriptors.
    allow(sys!(SYS_fcntl), "non-blocking mode, close-on-exec, and second handles for the runtime")
        .when(&[
            &[int(1, libc::F_GETFL)],
            &[int(1, libc::F_SETFL)],
            &[int(1, libc::F_GETFD)],
            &[int(1, libc::F_SETFD)],
            &[int(1, libc::F_DUPFD_CLOEXEC)],
        ]),
    allow(sys!(SYS_ioctl), "std makes sockets non-blocking by FIONBIO. No other request: on a user's terminal, TIOCSTI \
        types as the user")
        .when(&[&[request(1, FIONBIO)]]),
    allow(sys!(SYS_getsockopt), "errors of a socket, and the check that the lane brought the right kind of socket")
        .when(&[
            &[int(1, libc::SOL_SOCKET), int(2, libc::SO_ERROR)],
            &[int(1, libc::SOL_SOCKET), int(2, libc::SO_TYPE)],
            &[int(1, libc::SOL_SOCKET), int(2, libc::SO_DOMAIN)],
            &[int(1, libc::SOL_SOCKET), int(2, libc::SO_ACCEPTCONN)],
            &[int(1, libc::SOL_SOCKET), int(2, libc::SO_PEERCRED)],
        ]),
    allow(sys!(SYS_setsockopt), "stock clients run with Nagle until login: without the first two, each login waits for \
        two delayed ACKs, 80 ms. The others mark packets (IPQoS), which anybody may do with their own")
        .when(&[
            &[int(1, libc::IPPROTO_TCP), int(2, libc::TCP_NODELAY)],
            &[int(1, libc::IPPROTO_TCP), int(2, libc::TCP_QUICKACK)],
            &[int(1, libc::IPPROTO_IP), int(2, libc::IP_TOS)],
            &[int(1, libc::IPPROTO_IPV6), int(2, libc::IPV6_TCLASS)],
        ]),
    allow(sys!(SYS_getsockname), "the runtime asks it of sockets that it takes over"),
    allow(sys!(SYS_getpeername), "the runtime asks it of sockets that it takes over"),

    // Waiting.
    allow(sys!(SYS_epoll_create1), "the runtime's one event queue, made inside of the cage"),
    allow(sys!(SYS_epoll_ctl), "descriptors join and leave the event queue"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_epoll_wait), "waiting for events, as libc does it on x86_64"),
    allow(sys!(SYS_epoll_pwait), "waiting for events, as libc does it on other architectures"),
    allow(sys!(SYS_eventfd2), "the runtime's wake-up"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_poll), "waiting for the first message of the monitor, before there is a runtime"),
    allow(sys!(SYS_ppoll), "waiting for the first message of the monitor, before there is a runtime"),
    allow(sys!(SYS_futex), "uncontended in a single thread, but locks call it when they are poisoned or hand over"),
    allow(sys!(SYS_sched_yield), "back-off of a spinning lock"),
    allow(sys!(SYS_restart_syscall), "the kernel's own continuation of a wait after SIGSTOP and SIGCONT"),

    // Memory: never executable, never a file.
    allow(sys!(SYS_brk), "small allocations"),
    allow(sys!(SYS_mmap), "large allocations: no mapping of a descriptor, no code")
        .when(&[&[without(2, libc::PROT_EXEC), with(3, libc::MAP_ANONYMOUS)]]),
    allow(sys!(SYS_mprotect), "growth of the allocator's arenas: data must not become code")
        .when(&[&[without(2, libc::PROT_EXEC)]]),
    allow(sys!(SYS_munmap), "returns memory"),
    allow(sys!(SYS_mremap), "grows a large allocation in place"),
    allow(sys!(SYS_madvise), "returns pages, and keeps the random generator's state out of core files"),

    // Randomness and time.
    allow(sys!(SYS_getrandom), "keys, cookies, padding, and the seeds of hash tables"),
    allow(sys!(SYS_clock_gettime), "deadlines, where the vDSO cannot answer (some virtual machines)"),
    allow(sys!(SYS_getpid), "the random generator's check for a fork"),
    allow(sys!(SYS_gettid), "abort(3), on its way out"),

    // Signals and the end.
    allow(sys!(SYS_rt_sigprocmask), "abort(3) blocks signals first"),
    allow(sys!(SYS_rt_sigaction), "std gives the stack overflow handler back to the default, abort(3) its own signal"),
    allow(sys!(SYS_rt_sigreturn), "return from std's stack overflow handler, which then lets the fault happen"),
    allow(sys!(SYS_sigaltstack), "std takes its signal stack down at exit"),
    allow(sys!(SYS_tgkill), "abort(3) after a panic: SIGABRT tells it from a breach of this table, which is SIGSYS")
        .when(&[&[own_process(0), int(2, libc::SIGABRT)]]),
    allow(sys!(SYS_exit), "the end of a thread"),
    allow(sys!(SYS_exit_group), "the end of the process"),
    allow(sys!(SYS_prctl), "the self-check that closes the cage reads back what it built; nothing can be set")
        .when(&[
            &[int(0, libc::PR_GET_SECCOMP)],
            &[int(0, libc::PR_GET_NO_NEW_PRIVS)],
            &[int(0, libc::PR_GET_DUMPABLE)],
        ]),

    // Look-ups that libraries make on their own: refused, and the library does without.
    #[cfg(target_arch = "x86_64")]
    refuse(sys!(SYS_open), libc::EACCES, PATH),
    refuse(sys!(SYS_openat), libc::EACCES, PATH),
    refuse(sys!(SYS_openat2), libc::EACCES, PATH),
    #[cfg(target_arch = "x86_64")]
    refuse(sys!(SYS_access), libc::EACCES, PATH),
    refuse(sys!(SYS_faccessat), libc::EACCES, PATH),
    refuse(sys!(SYS_faccessat2), libc::EACCES, PATH),
    #[cfg(target_arch = "x86_64")]
    refuse(sys!(SYS_stat), libc::EACCES, PATH),
    #[cfg(target_arch = "x86_64")]
    refuse(sys!(SYS_lstat), libc::EACCES, PATH),
    refuse(sys!(SYS_newfstatat), libc::EACCES, PATH),
    refuse(sys!(SYS_statx), libc::EACCES, PATH),
    #[cfg(target_arch = "x86_64")]
    refuse(sys!(SYS_readlink), libc::EACCES, PATH),
    refuse(sys!(SYS_readlinkat), libc::EACCES, PATH),
    refuse(sys!(SYS_getcwd), libc::EACCES, PATH),
    refuse(sys!(SYS_sched_getaffinity), libc::EPERM, "libraries count processors to size thread pools: there are none"),
    refuse(sys!(SYS_mlock), libc::EPERM, "russh locks the memory of its packets, which hold no key: the transport has those"),
    refuse(sys!(SYS_munlock), libc::EPERM, "as mlock"),
];

/// Why the look-ups are refused rather than deadly.
const PATH: &str =
    "libraries look for time zones, cgroup limits or debug information: there are no files here";

/// `ioctl` request; libc's constant has another type on each libc.
const FIONBIO: u32 = 0x5421;
