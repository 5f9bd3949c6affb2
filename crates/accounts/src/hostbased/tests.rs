use super::*;
use crate::testing::{Directory, Home};
use wire::certificate::Validity;

/// Long enough for any search here.
const SOON: Duration = Duration::from_secs(10);

/// A home directory, the system's files, and keys `a`, `b`, `ca`.
struct Bench {
    home: Home,
    system: SystemFiles,
    keys: Directory,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let file = |name: &str| home.root.join(name);
        let system = SystemFiles {
            equivalent: ["hosts.equiv", "shosts.equiv"].map(file),
            known_hosts: ["ssh_known_hosts", "ssh_known_hosts2"].map(file),
        };
        let keys = Directory::new();
        ["a", "b", "ca"].iter().for_each(|name| keys.key(name));
        Self { home, system, keys }
    }

    /// One where `.shosts` and the system's known hosts let the client in.
    fn trusting() -> Self {
        let bench = Self::new();
        bench.home.write(".shosts", "h.example.com\n");
        bench.known(0, "h.example.com", "a");
        bench
    }

    fn known(&self, file: usize, hosts: &str, key: &str) {
        let line = format!("{hosts} {}", self.keys.public(key));
        std::fs::write(&self.system.known_hosts[file], line).unwrap();
    }

    fn user_known(&self, name: &str, hosts: &str, key: &str) {
        let line = format!("{hosts} {}", self.keys.public(key));
        self.home.write(&format!(".ssh/{name}"), &line);
    }

    fn query(&self) -> HostQuery {
        let account = self.home.account.clone();
        HostQuery {
            owner: Owner::User(account.uid),
            host: "h.example.com".to_owned(),
            address: "192.0.2.7".to_owned(),
            client_user: account.name.clone(),
            account,
            key: HostKey::Plain(self.keys.blob("a")),
            strict_modes: YesNo::Yes,
            ignore_rhosts: IgnoreRhosts::No,
            ignore_user_known_hosts: YesNo::No,
            now: 1000,
        }
    }

    fn search(&self, query: HostQuery) -> (bool, Vec<String>) {
        let (trusted, refusals) = self.look(query);
        (trusted, refusals.iter().map(ToString::to_string).collect())
    }

    fn look(&self, query: HostQuery) -> (bool, Vec<HostRefusal>) {
        let HostSearch { verdict, refusals } = find_host(query, self.system.clone(), SOON);
        let trusted = match verdict {
            HostVerdict::Trusted(host) => {
                assert_eq!(host.account(), &self.home.account);
                true
            }
            HostVerdict::NotTrusted => false,
            HostVerdict::Unknown(why) => panic!("{why}"),
        };
        (trusted, refusals)
    }

    /// Whether the client is let in, by a change of the query.
    fn trusts(&self, change: impl FnOnce(&mut HostQuery)) -> bool {
        let mut query = self.query();
        change(&mut query);
        self.search(query).0
    }

    fn equal(&self, file: usize, text: &str) {
        std::fs::write(&self.system.equivalent[file], text).unwrap();
    }
}

#[test]
fn a_host_is_trusted_if_it_is_listed_and_its_key_is_known() {
    let bench = Bench::trusting();
    assert_eq!(bench.search(bench.query()), (true, Vec::new()));
    let other_key = bench.keys.blob("b");
    assert!(!bench.trusts(|query| query.key = HostKey::Plain(other_key)));
    assert!(!bench.trusts(|query| query.host = "g.example.com".to_owned()));
    assert!(!bench.trusts(|query| query.client_user = "mallory".to_owned()));
    // The address alone lists the host, but its key is known by its name.
    bench.home.write(".shosts", "192.0.2.7\n");
    assert!(bench.trusts(|_| {}));
    assert!(!bench.trusts(|query| query.address = "192.0.2.8".to_owned()));
}

#[test]
fn ignore_rhosts_leaves_the_files_of_the_system() {
    let bench = Bench::new();
    bench.known(0, "h.example.com", "a");
    let with = |setting| bench.trusts(|query| query.ignore_rhosts = setting);
    let all = [
        IgnoreRhosts::Yes,
        IgnoreRhosts::ShostsOnly,
        IgnoreRhosts::No,
    ];
    assert_eq!(all.map(with), [false, false, false]);
    bench.home.write(".rhosts", "h.example.com\n");
    assert_eq!(all.map(with), [false, false, true]);
    bench.home.write(".shosts", "h.example.com\n");
    assert_eq!(all.map(with), [false, true, true]);
    bench.equal(1, "h.example.com\n");
    assert_eq!(all.map(with), [true, true, true]);
    // What one file denies another may grant.
    bench.equal(0, "-h.example.com\n");
    assert_eq!(all.map(with), [true, true, true]);
}

#[test]
fn the_files_of_the_system_are_not_for_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    bench.known(0, "h.example.com", "a");
    bench.equal(0, "h.example.com\n");
    let root = |query: &mut HostQuery| {
        query.account.uid = 0;
        query.strict_modes = YesNo::No;
    };
    assert!(bench.trusts(|_| {}));
    let mut query = bench.query();
    root(&mut query);
    let search = find_host(query, bench.system.clone(), SOON);
    assert!(matches!(search.verdict, HostVerdict::NotTrusted));
}

#[test]
fn keys_of_the_user_count_unless_they_are_ignored() {
    let bench = Bench::trusting();
    std::fs::remove_file(&bench.system.known_hosts[0]).unwrap();
    assert!(!bench.trusts(|_| {}));
    bench.user_known("known_hosts", "*.example.com", "a");
    assert!(bench.trusts(|_| {}));
    assert!(!bench.trusts(|query| query.ignore_user_known_hosts = YesNo::Yes));
    // A key of both files together: what one has to say about the host, the other cannot take back.
    bench.known(0, "h.example.com", "b");
    assert!(bench.trusts(|_| {}));
    bench.user_known("known_hosts", "@revoked *.example.com", "a");
    let (trusted, refusals) = bench.search(bench.query());
    let warning = "WARNING: revoked key for h.example.com attempted authentication";
    assert_eq!((trusted, refusals), (false, vec![warning.to_owned()]));
}

#[test]
fn the_second_files_are_asked_if_the_first_say_nothing() {
    let bench = Bench::trusting();
    bench.known(0, "g.example.com", "a");
    bench.known(1, "h.example.com", "a");
    assert!(bench.trusts(|_| {}));
    bench.known(0, "h.example.com", "b");
    assert!(!bench.trusts(|_| {}));
}

#[test]
fn files_that_others_could_change_are_not_used() {
    let bench = Bench::trusting();
    let home = bench.home.account.home.clone();
    bench.user_known("known_hosts", "h.example.com", "a");
    std::fs::remove_file(&bench.system.known_hosts[0]).unwrap();
    let cases = [
        (
            home.join(".shosts"),
            0o600,
            "Rhosts authentication refused for u: bad modes for ",
            "Bad file modes for ",
        ),
        (
            home.join(".ssh/known_hosts"),
            0o600,
            "Authentication refused for u: bad owner or modes for ",
            "Ignored ",
        ),
        (
            home,
            0o755,
            "Rhosts authentication refused for u: bad ownership or modes for home directory.",
            "Rhosts authentication refused for u: bad ownership or modes for home directory.",
        ),
    ];
    for (path, mode, words, told) in cases {
        assert!(bench.trusts(|_| {}));
        bench.home.give(&path, mode | 0o020);
        let (trusted, refusals) = bench.look(bench.query());
        assert!(!trusted, "{path:?}");
        assert!(refusals[0].to_string().starts_with(words), "{refusals:?}");
        assert!(
            refusals[0].told().unwrap().starts_with(told),
            "{refusals:?}"
        );
        assert!(bench.trusts(|query| query.strict_modes = YesNo::No));
        bench.home.give(&path, mode);
    }
}

#[test]
fn what_the_user_may_not_read_and_what_is_no_file_says_nothing() {
    let bench = Bench::trusting();
    let shosts = bench.home.account.home.join(".shosts");
    std::fs::remove_file(&shosts).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(&shosts).status();
    assert!(fifo.unwrap().success());
    bench.home.give(&shosts, 0o600);
    assert_eq!(bench.search(bench.query()), (false, Vec::new()));
    if rustix::process::geteuid().is_root() {
        let secret = bench.home.root.join("secret");
        std::fs::write(&secret, "h.example.com\n").unwrap();
        bench.home.give(&secret, 0o600);
        std::os::unix::fs::chown(&secret, Some(0), Some(0)).unwrap();
        std::fs::remove_file(&shosts).unwrap();
        std::os::unix::fs::symlink(&secret, &shosts).unwrap();
        let (trusted, refusals) = bench.search(bench.query());
        assert!(!trusted);
        assert!(refusals[0].contains("Permission denied"), "{refusals:?}");
    }
}

#[test]
fn a_certificate_counts_for_the_hosts_it_names_while_it_is_valid() {
    let bench = Bench::trusting();
    bench.known(0, "@cert-authority *.example.com", "ca");
    bench.keys.certificate("ca", "1");
    let mut good = Certificate::decode(&bench.keys.blob("a-ca-1")).unwrap();
    good.kind = CertificateKind::Host;
    good.principals = vec!["*.Example.com".to_owned()];
    good.validity = Validity {
        after: 1000,
        before: 1001,
    };
    let search = |certificate: &Certificate, now| {
        let key = HostKey::Certified(Box::new(certificate.clone()));
        let query = bench.query();
        bench.search(HostQuery { key, now, ..query })
    };
    assert_eq!(search(&good, 1000), (true, Vec::new()));
    let names = |principals: &[&str]| {
        let mut certificate = good.clone();
        certificate.principals = principals.iter().map(|&name| name.to_owned()).collect();
        certificate
    };
    let mut user = good.clone();
    user.kind = CertificateKind::User;
    for (certificate, now, why) in [
        (&good, 999, "not yet valid"),
        (&good, 1001, "expired"),
        (&user, 1000, "not a host certificate"),
        (&names(&[]), 1000, "name is not a listed principal"),
        (
            &names(&["g.example.com"]),
            1000,
            "name is not a listed principal",
        ),
        (
            &names(&["x,h.example.com"]),
            1000,
            "name is not a listed principal",
        ),
    ] {
        let expected = (false, vec![format!("Certificate invalid: {why}")]);
        assert_eq!(search(certificate, now), expected);
    }
    bench.known(0, "h.example.com", "a");
    assert_eq!(search(&good, 1000), (false, Vec::new()));
}
