//! The worker's first filter, which systemd installs before the first instruction of the program.

/// What `SystemCallFilter=` of `sshd-privsep-preauth@.service` lists: everything in the table of
/// [`Role::Preauth`](crate::Role::Preauth), and what it takes on top to get from `execve` to [`enter`](crate::enter).
///
/// The two filters stack, and the kernel takes the stricter answer: a call that the table lets through or refuses
/// politely would still be fatal if it were missing here. Tests compare this list with the table, and the unit with
/// this list. Names of another architecture are no harm: systemd ignores them.
#[rustfmt::skip] // Groups.
pub const UNIT_SYSTEM_CALL_FILTER: &[&str] = &[
    // The table: bytes, descriptors.
    "read", "write", "writev", "recvfrom", "sendto", "recvmsg", "shutdown", "close", "fstat", "fcntl", "ioctl",
    "getsockopt", "setsockopt", "getsockname", "getpeername",
    // The table: waiting.
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "poll", "ppoll", "futex", "sched_yield",
    "restart_syscall",
    // The table: memory, randomness, time.
    "brk", "mmap", "mprotect", "munmap", "mremap", "madvise", "getrandom", "clock_gettime", "getpid", "gettid",
    // The table: signals and the end.
    "rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "sigaltstack", "tgkill", "exit", "exit_group", "prctl",
    // The table: look-ups that it refuses, and that the dynamic loader needs before there is a cage.
    "open", "openat", "openat2", "access", "faccessat", "faccessat2", "stat", "lstat", "newfstatat", "statx",
    "readlink", "readlinkat", "getcwd", "sched_getaffinity", "mlock", "munlock",

    // systemd starts the program. With its log level at debug it opens the journal once more for that; then the
    // worker must not die of it. RestrictAddressFamilies=none makes the call fail, and so does the table later.
    "execve", "socket",
    // The dynamic loader and libc set up the process and its first thread, and std measures that thread's stack.
    "pread64", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
    // The cage: its look at /proc/self/status, who runs, capabilities, landlock, the second filter.
    "lseek", "getuid", "geteuid", "getgid", "getegid", "capget", "capset",
    "landlock_create_ruleset", "landlock_restrict_self", "seccomp",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Role;

    #[test]
    fn the_unit_lets_through_whatever_the_table_decides_about() {
        let unit: BTreeSet<_> = UNIT_SYSTEM_CALL_FILTER.iter().copied().collect();
        for rule in Role::Preauth.rules() {
            assert!(
                unit.contains(rule.syscall.name),
                "{} is not in the unit's list",
                rule.syscall.name
            );
        }
        assert_eq!(
            unit.len(),
            UNIT_SYSTEM_CALL_FILTER.len(),
            "a name stands twice"
        );
    }
}
