//! Who a process is: its number alone may be another's by the time it is read again, number and start time not.

use std::fs;
use std::path::Path;

/// A process by number and start time (field 22 of `/proc/PID/stat`, in clock ticks since boot).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) started: u64,
}

impl Process {
    /// The process that has this number now, if there is one that is not a zombie.
    pub(crate) fn now(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the command in parentheses and may hold anything, also spaces and parentheses.
        let (_, after) = stat.rsplit_once(") ")?;
        let mut fields = after.split(' ');
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// This very process, not a later one with its number, is still there.
    pub(crate) fn alive(self) -> bool {
        Self::now(self.pid) == Some(self)
    }

    /// The child that is PID 1 of a process namespace below ours: of systemd-nspawn, the machine's init.
    pub(crate) fn namespace_init(self) -> Option<Self> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|children| {
                children
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter_map(|child| child.parse().ok())
            .find(|child: &u32| is_namespace_init(*child))
            .and_then(Self::now)
    }
}

fn is_namespace_init(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    status.is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .is_some_and(|ids| {
                let ids: Vec<_> = ids.split_whitespace().collect();
                ids.len() > 1 && ids.last() == Some(&"1")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_itself_and_not_a_namesake() {
        let me = Process::now(std::process::id()).unwrap();
        assert!(me.alive());
        let namesake = Process {
            started: me.started + 1,
            ..me
        };
        assert!(!namesake.alive());
    }

    #[test]
    fn a_process_that_ended_is_not_alive() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = Process::now(child.id()).unwrap();
        assert!(process.alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.alive());
    }
}
