//! From a role's table to the seccomp programs that the kernel runs.
//!
//! The compiler knows one verdict for calls that match and one for all others, per program; a table knows three
//! verdicts. So a table becomes several stacked programs, and the kernel takes the strictest answer of all
//! (kill before errno before allow, `seccomp(2)`):
//!
//! 1. one program per refusal (each errno, and kill), that answers its calls and lets everything else through;
//! 2. the allow-list, with the role's default verdict for whatever is not in the table. It lets the refused calls
//!    through as well: their answer comes from the first kind.
//!
//! Each program starts with the check of the architecture, and a call by the x32 numbering of x86_64 has a number
//! that no table holds, so neither gets around the list.

use std::collections::BTreeMap;

use rustix::process::Pid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::rule::{Condition, Rule, Test, Verdict};

/// A table that cannot be compiled, or a kernel that refuses the result.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// There is no compiler for this architecture.
    #[error("no system call filter can be made for {}", std::env::consts::ARCH)]
    Architecture,
    /// The table is wrong or too long.
    #[error("system call table cannot be compiled")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel did not take the program.
    #[error("kernel refuses the system call filter")]
    Install(#[from] seccompiler::Error),
}

/// The programs of one role, in the order in which they must be installed.
#[derive(Debug)]
pub(crate) struct Filter {
    programs: Vec<BpfProgram>,
}

impl Filter {
    /// Compiles a table for the process `own`.
    pub(crate) fn compile(rules: &[Rule], default: Verdict, own: Pid) -> Result<Self, FilterError> {
        let arch =
            TargetArch::try_from(std::env::consts::ARCH).map_err(|_| FilterError::Architecture)?;
        let mut refusals: Vec<Verdict> = Vec::new();
        for rule in rules {
            if rule.verdict != Verdict::Allow && !refusals.contains(&rule.verdict) {
                refusals.push(rule.verdict);
            }
        }
        let mut programs = Vec::with_capacity(refusals.len() + 1);
        for refusal in refusals {
            let answered = chains(rules.iter().filter(|rule| rule.verdict == refusal), own)?;
            let filter = SeccompFilter::new(answered, SeccompAction::Allow, action(refusal), arch)?;
            programs.push(filter.try_into()?);
        }
        // Last, because it does not let seccomp(2) itself through.
        let filter = SeccompFilter::new(
            chains(rules.iter(), own)?,
            action(default),
            SeccompAction::Allow,
            arch,
        )?;
        programs.push(filter.try_into()?);
        Ok(Self { programs })
    }

    /// Puts the programs on every thread of the process, for good.
    pub(crate) fn install(&self) -> Result<(), FilterError> {
        for program in &self.programs {
            seccompiler::apply_filter_all_threads(program)?;
        }
        Ok(())
    }

    /// The compiled programs.
    #[cfg(test)]
    pub(crate) fn programs(&self) -> &[BpfProgram] {
        &self.programs
    }
}

/// The compiler's form of some rules: per call number a list of alternatives, where an empty list matches always.
fn chains<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    own: Pid,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, FilterError> {
    let mut chains: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for rule in rules {
        let chain = chains
            .entry(rule.syscall.number)
            .or_insert_with(|| Some(Vec::new()));
        if rule.when.is_empty() {
            // A rule without conditions swallows those with conditions: it must not look like one more alternative.
            *chain = None;
        } else if let Some(alternatives) = chain {
            for conditions in rule.when {
                let compiled: Result<Vec<_>, _> =
                    conditions.iter().map(|c| condition(*c, own)).collect();
                alternatives.push(SeccompRule::new(compiled?)?);
            }
        }
    }
    Ok(chains
        .into_iter()
        .map(|(number, chain)| (number, chain.unwrap_or_default()))
        .collect())
}

fn condition(condition: Condition, own: Pid) -> Result<SeccompCondition, FilterError> {
    let (width, operator, value) = match condition.test {
        Test::Int(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value)),
        Test::Zero => (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
        Test::Bits(mask, value) => (
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(u64::from(mask)),
            u64::from(value),
        ),
        Test::OwnProcess => {
            let own = own.as_raw_nonzero().get().cast_unsigned();
            (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(own))
        }
    };
    Ok(SeccompCondition::new(
        condition.argument,
        width,
        operator,
        value,
    )?)
}

fn action(verdict: Verdict) -> SeccompAction {
    match verdict {
        Verdict::Allow => SeccompAction::Allow,
        Verdict::Refuse(errno) => SeccompAction::Errno(errno.cast_unsigned()),
        Verdict::Kill => SeccompAction::KillProcess,
    }
}

#[cfg(test)]
mod tests;
