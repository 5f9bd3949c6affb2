//! Who is logged in on which terminal, and who was: the files utmp, wtmp and lastlog (utmp(5)), from which who(1), w(1),
//! last(1) and lastlog(8) tell, and logind the terminal of a session.
//!
//! ```text
//!  monitor ── whose session ──┐                         ┌──▶ /run/utmp        who is
//!                             ├──▶ server ─▶ book ──────┼──▶ /var/log/wtmp    who was
//!  session ── pts/3 opened ───┘      │     (record)     ├──▶ /var/log/lastlog who was last
//!        ◀─────── last login ────────┘                  └──▶ wtmpdb             both, since Debian 13
//! ```
//!
//! No other process of the server can do it: the monitor writes no file, a session has its user's rights, and systemd's
//! own `UtmpIdentifier=` knows neither the client's host nor a terminal that is opened after the start. So this one
//! process, with the group `utmp` and no other privilege, does it for all sessions.
//!
//! * [`server`]: connections, one for each session. Their end is the end of what was recorded, whoever died.
//! * [`store`]: what a process that comes after this one needs, if this one dies.
//! * [`book`]: the files. As with sshd(8), none is made: an administrator who wants no records removes them.
//! * [`record`]: what an entry looks like.
//!
//! What is recorded is what the monitor and the kernel say: the user and the host come from the monitor, the process from
//! the kernel, and a terminal must belong to the user. A session can tell lies about nothing but when it had a terminal.
//!
//! Where logins are kept in other places, the files are not there. PAM knows who was last (pam_lastlog2(8)); the database
//! of wtmpdb(8) may be written by root only, and by a process of its own, which hears of each login from this one.
#![forbid(unsafe_code)]

pub mod book;
pub mod record;
pub mod server;
pub mod store;
