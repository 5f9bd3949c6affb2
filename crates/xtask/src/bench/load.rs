//! How busy the host was with other things meanwhile: wall times from a loaded host are worth little.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The host's load since a moment.
#[derive(Debug)]
pub(super) struct Load {
    began: Instant,
    before: Ticks,
}

/// Of all processors since boot, in clock ticks (the first line of proc_stat(5)).
#[derive(Debug, Clone, Copy)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl Load {
    pub(super) fn begin() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            before: Ticks::now()?,
        })
    }

    /// The share of the host's CPU time (0 to 1) that went into anything but the work that used `own`.
    pub(super) fn of_others(&self, own: Duration) -> Result<f64> {
        let now = Ticks::now()?;
        let processors = u32::try_from(std::thread::available_parallelism()?.get())?;
        let own = own.as_secs_f64() / (f64::from(processors) * self.began.elapsed().as_secs_f64());
        Ok((busy_share(self.before, now) - own).clamp(0.0, 1.0))
    }
}

impl Ticks {
    fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Self::parse(&stat).context("/proc/stat has no line `cpu`")
    }

    fn parse(stat: &str) -> Option<Self> {
        let times = stat.lines().next()?.strip_prefix("cpu ")?;
        // user nice system idle iowait irq softirq steal; what follows is counted in these.
        let times: Vec<u64> = times
            .split_whitespace()
            .take(8)
            .map(|time| time.parse().ok())
            .collect::<Option<_>>()?;
        let all = times.iter().sum();
        let idle: u64 = times.iter().skip(3).take(2).sum();
        Some(Self {
            busy: all - idle,
            all,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks between two moments are far below 2^52"
)]
fn busy_share(before: Ticks, now: Ticks) -> f64 {
    let busy = now.busy.saturating_sub(before.busy);
    let all = now.all.saturating_sub(before.all);
    busy as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_not_being_busy() {
        let before = Ticks::parse("cpu  10 0 10 100 0 0 0 0 7 7\ncpu0 1 2 3 4\n").unwrap();
        let now = Ticks::parse("cpu  30 0 20 110 10 0 0 10 7 7\n").unwrap();
        // 20 user, 10 system, 10 steal; 10 idle, 10 iowait.
        let share = busy_share(before, now);
        assert!((share - 40.0 / 60.0).abs() < 1e-9, "{share}");
    }
}
