//! The compiled programs, run by an interpreter of the few instructions that the compiler emits: so every call with any
//! arguments can be asked for its verdict, those too that safe code cannot make.

use std::collections::BTreeSet;

use libc::{
    CLONE_FS, CLONE_SIGHAND, CLONE_THREAD, CLONE_VM, EACCES, EAFNOSUPPORT, ENOSYS, EPERM,
    MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE,
};
use seccompiler::sock_filter;

use super::*;
use crate::Role;

const OWN: i32 = 4711;

struct Kernel(Filter);

impl Kernel {
    fn of(role: Role) -> Self {
        let own = Pid::from_raw(OWN).unwrap();
        Self(Filter::compile(role.rules(), role.default_verdict(), own).unwrap())
    }

    fn ask(&self, number: i64, arguments: &[u64]) -> Verdict {
        self.ask_on(native_arch(), number, arguments)
    }

    /// The strictest answer of all programs, as in seccomp(2).
    fn ask_on(&self, arch: u32, number: i64, arguments: &[u64]) -> Verdict {
        let answers = self
            .0
            .programs()
            .iter()
            .map(|program| run(program, arch, number, arguments));
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Kill => 2,
            Verdict::Refuse(_) => 1,
            Verdict::Allow => 0,
        };
        answers.max_by_key(rank).unwrap()
    }
}

fn native_arch() -> u32 {
    match std::env::consts::ARCH {
        "x86_64" => 0xc000_003e,
        "aarch64" => 0xc000_00b7,
        other => panic!("{other}"),
    }
}

/// Runs one classic BPF program on a `struct seccomp_data`.
fn run(program: &[sock_filter], arch: u32, number: i64, arguments: &[u64]) -> Verdict {
    let mut data = vec![u32::try_from(number).unwrap(), arch, 0, 0];
    for index in 0..6 {
        let argument = arguments.get(index).copied().unwrap_or(0);
        data.push(u32::try_from(argument & 0xffff_ffff).unwrap());
        data.push(u32::try_from(argument >> 32).unwrap());
    }
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => accumulator = data[usize::try_from(step.k).unwrap() / 4],
            0x54 => accumulator &= step.k,
            0x05 => at += usize::try_from(step.k).unwrap(),
            0x15 => at += jump(accumulator == step.k),
            0x25 => at += jump(accumulator > step.k),
            0x35 => at += jump(accumulator >= step.k),
            0x06 => return verdict(step.k),
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn verdict(value: u32) -> Verdict {
    match value & 0xffff_0000 {
        0x8000_0000 => Verdict::Kill,
        0x0005_0000 => Verdict::Refuse(i32::try_from(value & 0xffff).unwrap()),
        0x7fff_0000 => Verdict::Allow,
        other => panic!("action {other:#x}"),
    }
}

fn word(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

#[test]
fn every_rule_has_a_reason_and_sensible_conditions() {
    for role in Role::ALL {
        let mut seen = BTreeSet::new();
        for rule in role.rules() {
            let name = rule.syscall.name;
            assert!(
                rule.reason.split_whitespace().count() >= 2,
                "{role:?}: {name}: {:?}",
                rule.reason
            );
            assert!(
                seen.insert((name, format!("{:?}", rule.verdict))),
                "{role:?}: {name} stands twice"
            );
            assert!(
                rule.when.iter().all(|all| !all.is_empty()),
                "{role:?}: {name}: an alternative without a condition"
            );
            assert!(
                rule.when
                    .iter()
                    .flat_map(|all| *all)
                    .all(|one| one.argument < 6),
                "{role:?}: {name}"
            );
        }
    }
}

#[test]
fn calls_outside_of_the_table_get_the_default() {
    for role in Role::ALL {
        let kernel = Kernel::of(*role);
        let known: BTreeSet<_> = role
            .rules()
            .iter()
            .map(|rule| rule.syscall.number)
            .collect();
        for number in (0..1024).filter(|number| !known.contains(number)) {
            assert_eq!(
                kernel.ask(number, &[]),
                role.default_verdict(),
                "{role:?}: {number}"
            );
        }
    }
}

#[test]
fn rules_without_conditions_mean_what_they_say() {
    for role in Role::ALL {
        let kernel = Kernel::of(*role);
        for rule in role.rules().iter().filter(|rule| rule.when.is_empty()) {
            let anything = [u64::MAX; 6];
            assert_eq!(
                kernel.ask(rule.syscall.number, &anything),
                rule.verdict,
                "{role:?}: {}",
                rule.syscall.name
            );
        }
    }
}

#[test]
fn other_architectures_and_other_numberings_are_no_way_around() {
    for role in Role::ALL {
        let kernel = Kernel::of(*role);
        let i386 = 0x4000_0003;
        assert_eq!(
            kernel.ask_on(i386, libc::SYS_read, &[]),
            Verdict::Kill,
            "{role:?}"
        );
        let x32 = libc::SYS_read | 0x4000_0000;
        assert_eq!(kernel.ask(x32, &[]), role.default_verdict(), "{role:?}");
    }
}

#[test]
fn a_worker_gets_memory_but_never_code() {
    let kernel = Kernel::of(Role::Preauth);
    let mmap = |protection: i32, flags: i32| {
        kernel.ask(
            libc::SYS_mmap,
            &[0, 4096, word(protection), word(flags), u64::MAX, 0],
        )
    };
    assert_eq!(
        mmap(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
        Verdict::Allow
    );
    assert_eq!(
        mmap(
            PROT_READ | PROT_WRITE | PROT_EXEC,
            MAP_PRIVATE | MAP_ANONYMOUS
        ),
        Verdict::Kill
    );
    assert_eq!(mmap(PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS), Verdict::Kill);
    assert_eq!(
        mmap(PROT_READ, MAP_PRIVATE),
        Verdict::Kill,
        "a descriptor is mapped"
    );
    let mprotect = |protection: i32| kernel.ask(libc::SYS_mprotect, &[0, 4096, word(protection)]);
    assert_eq!(mprotect(PROT_READ), Verdict::Allow);
    assert_eq!(mprotect(PROT_READ | PROT_EXEC), Verdict::Kill);
    assert_eq!(
        kernel.ask(libc::SYS_pkey_mprotect, &[0, 4096, word(PROT_EXEC)]),
        Verdict::Kill
    );
    assert_eq!(kernel.ask(libc::SYS_remap_file_pages, &[]), Verdict::Kill);
}

#[test]
fn a_worker_cannot_address_or_hand_on() {
    let kernel = Kernel::of(Role::Preauth);
    assert_eq!(
        kernel.ask(libc::SYS_sendto, &[3, 1, 1, 0, 0, 0]),
        Verdict::Allow
    );
    assert_eq!(
        kernel.ask(libc::SYS_sendto, &[3, 1, 1, 0, 0x7fff_0000_0000, 16]),
        Verdict::Kill
    );
    assert_eq!(
        kernel.ask(libc::SYS_sendto, &[3, 1, 1, 0, 1 << 32, 0]),
        Verdict::Kill,
        "the upper half counts"
    );
    for number in [
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_connect,
        libc::SYS_socket,
        libc::SYS_accept4,
    ] {
        assert_eq!(kernel.ask(number, &[]), Verdict::Kill, "{number}");
    }
}

#[test]
fn a_worker_cannot_type_on_a_terminal_or_take_signals_from_descriptors() {
    let kernel = Kernel::of(Role::Preauth);
    assert_eq!(
        kernel.ask(libc::SYS_ioctl, &[3, 0x5421]),
        Verdict::Allow,
        "FIONBIO"
    );
    assert_eq!(
        kernel.ask(libc::SYS_ioctl, &[3, 0x5412]),
        Verdict::Kill,
        "TIOCSTI"
    );
    assert_eq!(
        kernel.ask(libc::SYS_ioctl, &[3, 0x5412 | 1 << 32]),
        Verdict::Kill,
        "the upper half is ignored"
    );
    for command in [
        libc::F_SETOWN,
        libc::F_SETLEASE,
        libc::F_NOTIFY,
        libc::F_SETPIPE_SZ,
        libc::F_SETLK,
    ] {
        assert_eq!(
            kernel.ask(libc::SYS_fcntl, &[3, word(command)]),
            Verdict::Kill,
            "{command}"
        );
    }
    let so_peerpidfd = 77;
    assert_eq!(
        kernel.ask(
            libc::SYS_getsockopt,
            &[3, word(libc::SOL_SOCKET), so_peerpidfd]
        ),
        Verdict::Kill
    );
}

#[test]
fn a_worker_ends_nobody_but_itself() {
    let kernel = Kernel::of(Role::Preauth);
    let tgkill =
        |process: i32, signal: i32| kernel.ask(libc::SYS_tgkill, &[word(process), 1, word(signal)]);
    assert_eq!(tgkill(OWN, libc::SIGABRT), Verdict::Allow);
    assert_eq!(tgkill(OWN, libc::SIGKILL), Verdict::Kill);
    assert_eq!(tgkill(OWN + 1, libc::SIGABRT), Verdict::Kill);
    for number in [
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_pidfd_send_signal,
        libc::SYS_rt_tgsigqueueinfo,
    ] {
        assert_eq!(
            kernel.ask(number, &[word(OWN), word(libc::SIGABRT)]),
            Verdict::Kill,
            "{number}"
        );
    }
}

#[test]
fn a_worker_cannot_widen_its_cage() {
    let kernel = Kernel::of(Role::Preauth);
    assert_eq!(
        kernel.ask(libc::SYS_prctl, &[word(libc::PR_GET_SECCOMP)]),
        Verdict::Allow
    );
    for option in [
        libc::PR_SET_DUMPABLE,
        libc::PR_SET_NAME,
        libc::PR_SET_MM,
        libc::PR_SET_PTRACER,
    ] {
        assert_eq!(
            kernel.ask(libc::SYS_prctl, &[word(option), 1]),
            Verdict::Kill,
            "{option}"
        );
    }
    for number in KERNEL_SURFACE {
        assert_eq!(kernel.ask(*number, &[]), Verdict::Kill, "{number}");
    }
}

#[test]
fn a_worker_survives_the_look_ups_of_its_libraries() {
    let kernel = Kernel::of(Role::Preauth);
    for number in [
        libc::SYS_openat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_readlinkat,
    ] {
        assert_eq!(kernel.ask(number, &[]), Verdict::Refuse(EACCES), "{number}");
    }
    let empty_path = word(libc::AT_EMPTY_PATH);
    assert_eq!(
        kernel.ask(libc::SYS_newfstatat, &[3, 1, 1, empty_path]),
        Verdict::Refuse(EACCES)
    );
}

#[test]
fn a_monitor_starts_threads_but_no_processes() {
    let kernel = Kernel::of(Role::Monitor);
    let clone = |flags: i32| kernel.ask(libc::SYS_clone, &[word(flags)]);
    assert_eq!(
        clone(CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD),
        Verdict::Allow
    );
    assert_eq!(clone(libc::SIGCHLD), Verdict::Refuse(EPERM), "fork");
    assert_eq!(
        clone(CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD),
        Verdict::Refuse(EPERM),
        "vfork"
    );
    assert_eq!(kernel.ask(libc::SYS_clone3, &[]), Verdict::Refuse(ENOSYS));
    assert_eq!(kernel.ask(libc::SYS_execve, &[]), Verdict::Kill);
    assert_eq!(kernel.ask(libc::SYS_execveat, &[]), Verdict::Kill);
}

#[test]
fn a_monitor_has_no_network() {
    let kernel = Kernel::of(Role::Monitor);
    let socket = |family: i32| kernel.ask(libc::SYS_socket, &[word(family)]);
    assert_eq!(socket(libc::AF_UNIX), Verdict::Allow);
    assert_eq!(socket(libc::AF_INET), Verdict::Refuse(EAFNOSUPPORT));
    assert_eq!(socket(libc::AF_INET6), Verdict::Refuse(EAFNOSUPPORT));
    assert_eq!(socket(libc::AF_PACKET), Verdict::Refuse(EPERM));
    assert_eq!(kernel.ask(libc::SYS_bind, &[]), Verdict::Refuse(EPERM));
    assert_eq!(kernel.ask(libc::SYS_listen, &[]), Verdict::Refuse(EPERM));
}

#[test]
fn a_monitor_loads_account_modules_but_writes_no_code() {
    let kernel = Kernel::of(Role::Monitor);
    let mmap = |protection: i32, flags: i32| {
        kernel.ask(
            libc::SYS_mmap,
            &[0, 4096, word(protection), word(flags), 3, 0],
        )
    };
    assert_eq!(mmap(PROT_READ | PROT_EXEC, MAP_PRIVATE), Verdict::Allow);
    assert_eq!(
        mmap(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
        Verdict::Allow
    );
    assert_eq!(
        mmap(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS),
        Verdict::Refuse(EPERM)
    );
    assert_eq!(
        mmap(PROT_WRITE | PROT_EXEC, MAP_PRIVATE),
        Verdict::Refuse(EPERM)
    );
    assert_eq!(
        kernel.ask(libc::SYS_mprotect, &[0, 4096, word(PROT_READ | PROT_EXEC)]),
        Verdict::Refuse(EPERM)
    );
}

#[test]
fn a_monitor_dies_of_what_only_an_intruder_does() {
    let kernel = Kernel::of(Role::Monitor);
    for number in KERNEL_SURFACE {
        assert_ne!(kernel.ask(*number, &[]), Verdict::Allow, "{number}");
    }
    for number in [
        libc::SYS_ptrace,
        libc::SYS_mount,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_memfd_create,
    ] {
        assert_eq!(kernel.ask(number, &[]), Verdict::Kill, "{number}");
    }
}

#[test]
fn an_sftp_server_has_files_and_nothing_else() {
    let kernel = Kernel::of(Role::Sftp);
    for number in KERNEL_SURFACE {
        assert_eq!(kernel.ask(*number, &[]), Verdict::Kill, "{number}");
    }
    for number in [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_sendmsg,
        libc::SYS_kill,
        libc::SYS_pidfd_send_signal,
        libc::SYS_ioctl,
        libc::SYS_memfd_create,
        libc::SYS_mknodat,
        libc::SYS_setns,
        libc::SYS_fchdir,
    ] {
        assert_eq!(kernel.ask(number, &[]), Verdict::Kill, "{number}");
    }
    let anonymous = word(MAP_ANONYMOUS | MAP_PRIVATE);
    let code = word(PROT_READ | PROT_EXEC);
    let mapped = kernel.ask(libc::SYS_mmap, &[0, 4096, code, anonymous]);
    assert_eq!(mapped, Verdict::Kill);
    let data = word(PROT_READ | PROT_WRITE);
    let mapped = kernel.ask(libc::SYS_mmap, &[0, 4096, data, anonymous]);
    assert_eq!(mapped, Verdict::Allow);
    let addressed = kernel.ask(libc::SYS_sendto, &[3, 0, 0, 0, 0x1000, 110]);
    assert_eq!(addressed, Verdict::Kill);
}

/// Calls whose history is one of kernel holes, or that undo a cage.
const KERNEL_SURFACE: &[i64] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_vmsplice,
    libc::SYS_tee,
    libc::SYS_splice,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_personality,
    libc::SYS_seccomp,
];
