//! `sftp`: see the library's documentation.
//!
//! The session starts it as the user, with the client at standard input and output and the arguments of
//! `internal-sftp` (sshd_config(5)). Everything that takes a path of the host, the journal's socket and the time zone
//! first of all, comes before the jail, and the cage before the first byte is read.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use journal::{Destination, Escaped, Identity, Role};
use nix::sys::signal::{SigSet, Signal};
use rustix::fs::Mode;
use sandbox::jail;
use sftp::{Invocation, Log, Options, OwnAccount, Root, Server, client_has_gone, serve};
use tracing::{error, info};

/// sftp-server's exit status for whatever is wrong with the client or the server.
const FAILED: u8 = 255;

fn main() -> ExitCode {
    let account = OwnAccount::from_environment();
    let mut options = Options::default();
    let read = options.read(std::env::args_os().skip(1), &account);
    if let Ok(Invocation::Print(text)) = read {
        return match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    log(&options);
    let span = tracing::info_span!("sftp", conn = options.connection, user = %Escaped::word(&account.name));
    let _entered = span.entered();
    if let Err(error) = read {
        let text = error.to_string();
        // The summary of all options is for whoever reads it now.
        error!("internal-sftp: {}", text.lines().next().unwrap_or_default());
        complain(text);
        return ExitCode::FAILURE;
    }
    if !options.surplus.is_empty() {
        let surplus = options.surplus.join(OsStr::new(" "));
        let surplus = Escaped::new(surplus.as_bytes());
        // A level that is written unless the administrator wants none at all.
        error!(
            priority = "warning",
            "internal-sftp: no options, ignored: \"{surplus}\""
        );
    }
    match run(options, account) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn log(options: &Options) {
    let destination = match options.log {
        Log::Journal => Destination::journal(),
        Log::StandardError => Destination::Terminal,
    };
    let identity = Identity::of(Role::Sftp).facility(options.facility);
    // If that fails there is nobody to tell.
    drop(journal::init(destination, identity, options.level.0));
}

fn run(options: Options, account: OwnAccount) -> anyhow::Result<()> {
    // The session reads its signals from a descriptor, and has passed its mask on. What remains is of a file that would
    // become longer than setrlimit(2) lets it (RLIMIT_FSIZE of limits.conf(5)): with the signal the whole session ended,
    // without it the one request fails (write(2), EFBIG).
    SigSet::from(Signal::SIGXFSZ).thread_set_mask()?;
    let zone = TimeZone::system();
    let page = sandbox::StatusPage::open()?;
    let client = client_address();
    if let Some(umask) = options.umask {
        rustix::process::umask(Mode::from_raw_mode(umask));
    }
    if options.root == Root::WorkingDirectory {
        jail::enter_working_directory()?;
    }
    go_home(&account, options.root);
    if let Some(directory) = &options.directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        error!("chdir to \"{}\" failed: {error}", directory.display());
    }
    let name = Escaped::word(&account.name).to_string();
    let server = Server::new(options.permitted, account, zone, client_has_gone)
        .with_symlinks(options.symlinks);
    let cage = sandbox::enter_from_jail(sandbox::Role::Sftp, &page)?;
    info!("session opened for local user {name} from [{client}]");
    let end = serve(cage, server);
    info!("session closed for local user {name} from [{client}]");
    Ok(end?)
}

/// The first word of SSH_CONNECTION, which the server has made.
fn client_address() -> String {
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let address = connection.split(' ').next().unwrap_or_default();
    match address {
        "" => "UNKNOWN".to_owned(),
        address => Escaped::word(address).to_string(),
    }
}

/// A login without a home is allowed, in "/", as with sshd; in a jail it is no news.
fn go_home(account: &OwnAccount, root: Root) {
    let home = Path::new(OsStr::from_bytes(&account.home));
    if let Err(error) = std::env::set_current_dir(home) {
        if root == Root::Kept {
            let home = home.display();
            complain(format_args!(
                "Could not chdir to home directory {home}: {error}"
            ));
        }
        drop(std::env::set_current_dir("/"));
    }
}

fn complain(message: impl Display) {
    // Whoever hung up cannot be told.
    drop(writeln!(io::stderr(), "{message}"));
}
