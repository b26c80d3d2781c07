//! What a process takes of the machine, as the kernel says it.

use std::time::Duration;

use crate::Result;

/// Ticks of the kernel's clock in a second, on every Linux that counts for user space.
const TICKS_PER_SECOND: u64 = 100;

/// Kibibytes of a line of the kernel's status of a process, such as `VmRSS` (resident now) or `VmHWM` (at most); none if it has ended.
pub(crate) fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Mebibytes that a process has in memory now.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let kib = status_kib(pid, "VmRSS").ok_or("a process has ended")?;
    Ok(kib as f64 / 1024.0)
}

/// The time that a process has had of all processors, in steps of 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in parentheses, may hold spaces.
    let (_, after_name) = text.rsplit_once(')').ok_or("the kernel's line about a process has no name")?;
    let ticks: Vec<u64> =
        after_name.split_whitespace().skip(11).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS_PER_SECOND))
}

/// How many processes have wanted a processor on average in the last minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
