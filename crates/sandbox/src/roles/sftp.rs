//! The cage of the SFTP server: the user's files, and nothing else of what a user can do.
//!
//! It runs as the user, so file permissions say what it reaches; the cage says what it can do with it. No program is
//! executed, no socket made, no process started, signalled or traced. Landlock's domain is also what keeps it from
//! writing `/proc/PID/mem` of another process of the same user, and not being dumpable keeps it from its own: with
//! either one, whoever may write files would execute code.
//!
//! Deliberately absent, although a library might like them: `socket` and `connect`, even for AF_UNIX. Names of users
//! come from files; by the socket of the user's own service manager one leaves the cage.

use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::{Files, Identity, Profile};
use crate::rule::{Rule, Verdict, allow, int, own_process, sys, with, without, zero};

/// The SFTP server's cage.
pub(super) const PROFILE: Profile = Profile {
    rules: RULES,
    default: Verdict::Kill,
    files: Files::Permitted,
    // Those that are about files: root's transfers are to work as root's do.
    capabilities: CapabilitySet::CHOWN
        .union(CapabilitySet::DAC_OVERRIDE)
        .union(CapabilitySet::DAC_READ_SEARCH)
        .union(CapabilitySet::FOWNER)
        .union(CapabilitySet::FSETID),
    identity: Identity::Any,
    limits: &[
        // A core file would hold what the client transfers.
        (Resource::Core, 0),
    ],
};

#[rustfmt::skip] // A table: one rule per line as far as it fits.
const RULES: &[Rule] = &[
    // Bytes.
    allow(sys!(SYS_read), "requests, and /etc/passwd"),
    allow(sys!(SYS_write), "answers, files that are appended to, and standard error"),
    allow(sys!(SYS_pread64), "requests: SSH_FXP_READ"),
    allow(sys!(SYS_pwrite64), "requests: SSH_FXP_WRITE"),
    allow(sys!(SYS_copy_file_range), "copy-data, without a copy where the file system can"),
    allow(sys!(SYS_fsync), "requests: fsync@openssh.com"),
    allow(sys!(SYS_ftruncate), "SSH_FXP_SETSTAT of a size"),
    allow(sys!(SYS_lseek), "listing of a directory, and whole-file reads"),
    allow(sys!(SYS_close), "the end of a handle"),
    allow(sys!(SYS_sendto), "the journal's socket, which is connected: with an address it would reach any other datagram \
        socket").when(&[&[zero(4), zero(5)]]),

    // Paths and what they lead to.
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_open), OPEN),
    allow(sys!(SYS_openat), OPEN),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_stat), STAT),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_lstat), STAT),
    allow(sys!(SYS_fstat), STAT),
    allow(sys!(SYS_newfstatat), STAT),
    allow(sys!(SYS_statx), STAT),
    allow(sys!(SYS_statfs), "requests: statvfs@openssh.com"),
    allow(sys!(SYS_fstatfs), "requests: fstatvfs@openssh.com"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_readlink), "SSH_FXP_READLINK and SSH_FXP_REALPATH"),
    allow(sys!(SYS_readlinkat), "SSH_FXP_READLINK and SSH_FXP_REALPATH"),
    allow(sys!(SYS_getcwd), "SSH_FXP_REALPATH of a relative path"),
    allow(sys!(SYS_getdents64), "requests: SSH_FXP_READDIR"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_mkdir), "requests: SSH_FXP_MKDIR"),
    allow(sys!(SYS_mkdirat), "requests: SSH_FXP_MKDIR"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_rmdir), "requests: SSH_FXP_RMDIR"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_unlink), "requests: SSH_FXP_REMOVE"),
    allow(sys!(SYS_unlinkat), "SSH_FXP_REMOVE and SSH_FXP_RMDIR"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_rename), RENAME),
    #[cfg(not(target_arch = "riscv64"))]
    allow(sys!(SYS_renameat), RENAME),
    allow(sys!(SYS_renameat2), RENAME),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_link), "requests: hardlink@openssh.com"),
    allow(sys!(SYS_linkat), "requests: hardlink@openssh.com"),
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_symlink), "requests: SSH_FXP_SYMLINK"),
    allow(sys!(SYS_symlinkat), "requests: SSH_FXP_SYMLINK"),

    // What can be set of a file.
    allow(sys!(SYS_fchmod), SETSTAT),
    allow(sys!(SYS_fchmodat), SETSTAT),
    allow(sys!(SYS_fchown), SETSTAT),
    allow(sys!(SYS_fchownat), SETSTAT),
    allow(sys!(SYS_utimensat), SETSTAT),

    // Waiting: only ever a look, whether the client is still there.
    #[cfg(target_arch = "x86_64")]
    allow(sys!(SYS_poll), "copy-data ends with its client"),
    allow(sys!(SYS_ppoll), "copy-data ends with its client"),
    allow(sys!(SYS_futex), "uncontended in a single thread, but locks call it when they are poisoned or hand over"),
    allow(sys!(SYS_restart_syscall), "the kernel's own continuation of a wait after SIGSTOP and SIGCONT"),

    // Memory: never executable, never a file.
    allow(sys!(SYS_brk), "small allocations"),
    allow(sys!(SYS_mmap), "large allocations: no mapping of a descriptor, no code")
        .when(&[&[without(2, libc::PROT_EXEC), with(3, libc::MAP_ANONYMOUS)]]),
    allow(sys!(SYS_mprotect), "growth of the allocator's arenas: data must not become code")
        .when(&[&[without(2, libc::PROT_EXEC)]]),
    allow(sys!(SYS_munmap), "returns memory"),
    allow(sys!(SYS_mremap), "grows a large allocation in place"),
    allow(sys!(SYS_madvise), "returns pages"),

    // Randomness and time.
    allow(sys!(SYS_getrandom), "the seeds of hash tables"),
    allow(sys!(SYS_clock_gettime), "the age of a file, where the vDSO cannot answer (some virtual machines)"),
    allow(sys!(SYS_getpid), "abort(3), on its way out"),
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
    allow(sys!(SYS_fcntl), "rustix asks a directory's descriptor for its flags; nothing can be set")
        .when(&[&[int(1, libc::F_GETFL)], &[int(1, libc::F_GETFD)]]),
];

const OPEN: &str = "SSH_FXP_OPEN and SSH_FXP_OPENDIR";
const STAT: &str = "SSH_FXP_STAT and its kin, and every name of a directory that is listed";
const RENAME: &str = "SSH_FXP_RENAME and posix-rename@openssh.com";
const SETSTAT: &str = "SSH_FXP_SETSTAT, SSH_FXP_FSETSTAT and lsetstat@openssh.com";
