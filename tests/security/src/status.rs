//! The kernel's page about a process, proc_pid_status(5), read from outside.

use anyhow::{Context, Result};
use support::Machine;

/// The lines of the page that say what a process may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Real, effective, saved and file system user id.
    pub uid: Vec<u32>,
    /// Real, effective, saved and file system group id.
    pub gid: Vec<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable capabilities, one bit each.
    pub inheritable: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
    /// The capability bounding set.
    pub bounding: u64,
    /// Ambient capabilities.
    pub ambient: u64,
    /// 1 when no_new_privs is set.
    pub no_new_privileges: u32,
    /// 2 when a filter is in force.
    pub seccomp: u32,
    /// Threads of the process.
    pub threads: u32,
}

impl Status {
    /// The page of process `pid`, by the machine's count.
    ///
    /// # Errors
    /// The process has ended, or the page has another form.
    pub fn of(machine: &Machine, pid: u32) -> Result<Self> {
        let page = machine
            .exec(["cat", &format!("/proc/{pid}/status")])?
            .success()?
            .text();
        Self::parse(&page)
    }

    fn parse(page: &str) -> Result<Self> {
        let line = |name: &str| {
            page.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .with_context(|| format!("no line {name} in\n{page}"))
        };
        let numbers = |name: &str| -> Result<Vec<u32>> {
            line(name)?
                .split_whitespace()
                .map(|word| word.parse().context(word.to_owned()))
                .collect()
        };
        let number =
            |name: &str| -> Result<u32> { line(name)?.trim().parse().context(name.to_owned()) };
        let set = |name: &str| u64::from_str_radix(line(name)?.trim(), 16).context(name.to_owned());
        Ok(Self {
            uid: numbers("Uid")?,
            gid: numbers("Gid")?,
            groups: numbers("Groups")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privileges: number("NoNewPrivs")?,
            seccomp: number("Seccomp")?,
            threads: number("Threads")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_form_that_the_kernel_writes() {
        let page = "Name:\tcat\nUid:\t998\t998\t998\t998\nGid:\t997\t997\t997\t997\nGroups:\t997 \nThreads:\t1\n\
            CapInh:\t0000000000000000\nCapPrm:\t00000000000000c4\nCapEff:\t0000000000000000\n\
            CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let status = Status::parse(page).unwrap();
        assert_eq!(status.uid, [998; 4]);
        assert_eq!(status.groups, [997]);
        assert_eq!(status.permitted, 0xc4);
        assert_eq!(
            (status.no_new_privileges, status.seccomp, status.threads),
            (1, 2, 1)
        );
    }
}
