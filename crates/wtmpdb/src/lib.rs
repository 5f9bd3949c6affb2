//! Who is logged in on which terminal, and who was, in the database of wtmpdb(8): what Debian has since version 13 in
//! place of the files of utmp(5).
//!
//! ```text
//!  accounting ── record ──▶ server ──▶ database ──▶ /var/lib/wtmpdb/wtmp.db
//!                                         ▲
//!  systemd, for a session ─▶ pam_wtmpdb ──┘ a session has begun
//! ```
//!
//! A module of PAM, pam_wtmpdb(8), records each session when it begins. It knows no terminal, and of the end nothing is
//! recorded: systemd closes PAM sessions with the rights of the user, who may not write there. So what the module has
//! begun is completed here: an entry gets the terminal when there is one, and its end. Where the module does not record
//! our sessions (`skip_if=`), entries of terminals are made here, as sshd of Debian 13 makes them. In both cases a terminal
//! has one entry.
//!
//! Only root may write to the database and to the directory in which SQLite keeps its journal. That is more than
//! [accounting] should have, which hears users' processes. This process hears nobody else than that one, has root's
//! number and no privilege, and sees nothing but the database.
//!
//! * [`server`]: records, one after the other.
//! * [`database`]: what becomes of them.
//!
//! [accounting]: ../accounting/index.html
#![forbid(unsafe_code)]

pub mod database;
pub mod server;
