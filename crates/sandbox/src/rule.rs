//! One line of a system call table: a call, the arguments it may carry, what happens, and why.

/// A system call by name and by its number on the architecture that is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// The kernel's name, as in `syscalls(2)` and in systemd's `SystemCallFilter=`.
    pub name: &'static str,
    /// The number that seccomp compares.
    pub number: i64,
}

/// A [`Syscall`] from one of libc's `SYS_*` constants; name and number cannot disagree.
macro_rules! sys {
    ($constant:ident) => {
        $crate::rule::Syscall {
            // Without the prefix "SYS_".
            name: stringify!($constant).split_at(4).1,
            number: ::libc::$constant,
        }
    };
}
pub(crate) use sys;

/// What the kernel does with a call that matches a [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call goes on to the kernel's own checks.
    Allow,
    /// The call returns this errno and does nothing.
    Refuse(i32),
    /// The process dies at once (SIGSYS), which the kernel's audit log and the unit's result record.
    Kill,
}

/// What one argument of a call must look like.
///
/// seccomp sees the six argument words and nothing behind a pointer, so a condition can be put on numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// A C `int` with exactly this value. The upper half of the register is ignored, as the kernel ignores it.
    Int(u32),
    /// A full-width word (a pointer or a length) that is zero.
    Zero,
    /// The bits of the first word have the values in the second.
    Bits(u32, u32),
    /// The process identifier of the caller.
    OwnProcess,
}

/// A [`Test`] on the argument with this index, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u8,
    /// What must hold for it.
    pub test: Test,
}

/// One line of a role's table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The call.
    pub syscall: Syscall,
    /// What happens when the rule matches.
    pub verdict: Verdict,
    /// Alternatives, each a list of conditions that must all hold; none at all matches every call.
    pub when: &'static [&'static [Condition]],
    /// Why the role needs the call, or why it is met with this verdict.
    pub reason: &'static str,
}

impl Rule {
    /// The same rule, for calls only that satisfy one of `alternatives`.
    pub(crate) const fn when(mut self, alternatives: &'static [&'static [Condition]]) -> Self {
        self.when = alternatives;
        self
    }
}

/// A rule that lets `syscall` through.
pub(crate) const fn allow(syscall: Syscall, reason: &'static str) -> Rule {
    Rule {
        syscall,
        verdict: Verdict::Allow,
        when: &[],
        reason,
    }
}

/// A rule that answers `syscall` with `errno`.
pub(crate) const fn refuse(syscall: Syscall, errno: i32, reason: &'static str) -> Rule {
    Rule {
        syscall,
        verdict: Verdict::Refuse(errno),
        when: &[],
        reason,
    }
}

/// A rule that ends the process at `syscall`.
pub(crate) const fn kill(syscall: Syscall, reason: &'static str) -> Rule {
    Rule {
        syscall,
        verdict: Verdict::Kill,
        when: &[],
        reason,
    }
}

/// The condition that the C `int` at `argument` has this value.
pub(crate) const fn int(argument: u8, value: i32) -> Condition {
    Condition {
        argument,
        test: Test::Int(value.cast_unsigned()),
    }
}

/// The condition that the C `unsigned int` at `argument` (an ioctl request) has this value.
pub(crate) const fn request(argument: u8, value: u32) -> Condition {
    Condition {
        argument,
        test: Test::Int(value),
    }
}

/// The condition that the pointer or length at `argument` is zero.
pub(crate) const fn zero(argument: u8) -> Condition {
    Condition {
        argument,
        test: Test::Zero,
    }
}

/// The condition that no bit of `mask` is set at `argument`.
pub(crate) const fn without(argument: u8, mask: i32) -> Condition {
    Condition {
        argument,
        test: Test::Bits(mask.cast_unsigned(), 0),
    }
}

/// The condition that every bit of `mask` is set at `argument`.
pub(crate) const fn with(argument: u8, mask: i32) -> Condition {
    Condition {
        argument,
        test: Test::Bits(mask.cast_unsigned(), mask.cast_unsigned()),
    }
}

/// The condition that `argument` is the caller's own process identifier.
pub(crate) const fn own_process(argument: u8) -> Condition {
    Condition {
        argument,
        test: Test::OwnProcess,
    }
}
