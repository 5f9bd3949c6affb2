//! Certificates, revoked keys and security keys: stock `ssh` with what ssh-keygen makes. Each login is tried with our
//! server and, with the same configuration, with Debian's sshd on another port; both must end alike and say why.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::Server;
use e2e::beside::{Ended, PORTS, THEIRS};
use e2e::server::{CONFIGURATION, eventually};
use support::host;
use support::users::KNOWN_HOSTS;

/// Where Debian's sshd listens, and where it logs.
const THEIR_PORT: u16 = PORTS[1];
const THEIR_LOG: &str = "/root/theirs.log";

/// The security key of `src/security_key.c`, in the machine.
const PROVIDER: &str = "/root/security_key.so";

/// How many logins are tried at once: fewer than MaxStartups, if all were with one server.
const AT_ONCE: usize = 9;

/// One account for each case, and what the configuration says about it. All files are in `/srv/c`, and made by [`FILES`].
const ACCOUNTS: &[(&str, &str)] = &[
    ("ca", "TrustedUserCAKeys /srv/c/ca.pub"),
    (
        "pfile",
        "TrustedUserCAKeys /srv/c/ca.pub\n AuthorizedPrincipalsFile /srv/c/principals/%u",
    ),
    (
        "pnone",
        "TrustedUserCAKeys /srv/c/ca.pub\n AuthorizedPrincipalsFile /srv/c/principals/%u",
    ),
    (
        "pcommand",
        "TrustedUserCAKeys /srv/c/ca.pub\n AuthorizedPrincipalsCommand /usr/bin/printf staff\n \
         AuthorizedPrincipalsCommandUser nobody",
    ),
    ("line", ""),
    ("named", ""),
    ("plain", ""),
    ("chain", "TrustedUserCAKeys /srv/c/middle-cert.pub"),
    (
        "alg",
        "TrustedUserCAKeys /srv/c/ca.pub\n CASignatureAlgorithms rsa-sha2-512",
    ),
    ("revoked", "RevokedKeys /srv/c/list"),
    (
        "rserial",
        "TrustedUserCAKeys /srv/c/ca.pub\n RevokedKeys /srv/c/krl-serial",
    ),
    (
        "rid",
        "TrustedUserCAKeys /srv/c/ca.pub\n RevokedKeys /srv/c/krl-id",
    ),
    (
        "rkey",
        "TrustedUserCAKeys /srv/c/ca.pub\n RevokedKeys /srv/c/krl-key",
    ),
    (
        "rhash",
        "TrustedUserCAKeys /srv/c/ca.pub\n RevokedKeys /srv/c/krl-hash",
    ),
    (
        "rca",
        "TrustedUserCAKeys /srv/c/ca.pub\n RevokedKeys /srv/c/krl-ca",
    ),
    ("rmissing", "RevokedKeys /srv/c/missing"),
    ("rbroken", "RevokedKeys /srv/c/broken"),
    ("sk", ""),
    ("skca", "TrustedUserCAKeys /srv/c/ca.pub"),
    ("skfree", ""),
    ("skverify", ""),
    ("sktouch", "PubkeyAuthOptions touch-required"),
    ("skboth", "PubkeyAuthOptions verify-required"),
];

/// Keys, certificates and lists. `certify AUTHORITY NAME KEY OPTIONS…` makes a pair NAME with a certificate.
const FILES: &str = r#"
mkdir -p /srv/c/principals /run/sshd; cd /srv/c
for k in ca other middle key key2; do ssh-keygen -q -t ed25519 -N '' -f $k; done
ssh-keygen -q -s ca -I middle -n middle middle.pub
certify() {
    a=$1 n=$2 k=$3; shift 3
    cp $k $n; cp $k.pub $n.pub
    case " $* " in *" -n "*|*" -E "*) ;; *) set -- -n "$everybody" "$@";; esac
    [ "$1" = -E ] && shift
    ssh-keygen -q -s $a -I "id-$n" "$@" $n.pub
}
everybody=$(echo $accounts | tr ' ' ,)
certify ca good key -z 5
certify ca other-serial key2 -z 6
certify ca expired key -V 20200101:20200102
certify ca future key -V 20400101:20400102
certify ca nobodys key -E
certify ca elsewhere key -n elsewhere,ca,x
certify ca wrong key -n elsewhere
certify ca unknown key -O critical:new@example.com
certify ca extension key -O extension:new@example.com
certify ca far key -O source-address=192.0.2.0/24
certify ca near key -O source-address=127.0.0.0/8,::1
certify ca staff key -n staff
certify ca forced key -O force-command='echo forced'
certify ca bare key -O clear
certify other foreign key
certify middle chained key
for t in ed25519-sk ecdsa-sk; do
    ssh-keygen -q -t $t -w $sk -N '' -f $t-touch
    ssh-keygen -q -t $t -w $sk -N '' -O no-touch-required -f $t-free
    ssh-keygen -q -t $t -w $sk -N '' -O verify-required -f $t-verify
done
certify ca sk-touch ed25519-sk-touch
certify ca sk-untouched ed25519-sk-free
certify ca sk-free ecdsa-sk-free -O no-touch-required
certify ca sk-pin ed25519-sk-touch -O verify-required
certify ca sk-verify ecdsa-sk-verify -O verify-required
printf '# who\nno-pty staff\nfrom="192.0.2.1" key-elsewhere\n' >principals/pfile
cat key2.pub >list; cat key2.pub >>list
echo 'serial: 5' | ssh-keygen -q -k -f krl-serial -s ca.pub -
echo 'id: id-good' | ssh-keygen -q -k -f krl-id -s ca.pub -
ssh-keygen -q -k -f krl-key key.pub
(printf 'sha256: '; cat key.pub) | ssh-keygen -q -k -f krl-hash -
ssh-keygen -q -k -f krl-ca ca.pub
echo 'no key' >broken
authorize() { cat >/home/$1/.ssh/authorized_keys; chown $1: /home/$1/.ssh/authorized_keys; }
(printf 'cert-authority '; cat ca.pub) | authorize line
(printf 'cert-authority,principals="x,staff" '; cat ca.pub) | authorize named
cat key.pub ca.pub | authorize plain
cat key.pub key2.pub | authorize revoked
for u in rmissing rbroken; do cat key.pub | authorize $u; done
cat *-sk-*.pub | authorize sk
cat *-sk-*.pub | authorize skboth
sed 's/^/no-touch-required /' *-sk-*.pub | authorize skfree
sed 's/^/no-touch-required /' *-sk-*.pub | authorize sktouch
sed 's/^/verify-required /' *-sk-*.pub | authorize skverify
"#;

/// A login with a key of [`FILES`] and, if it has one, its certificate.
struct Try {
    user: &'static str,
    key: &'static str,
    options: &'static str,
    outcome: Outcome,
}

/// What comes of it.
enum Outcome {
    /// It ran what was asked for.
    In,
    /// It printed this.
    Printed(&'static str),
    /// It was refused, and `ssh` said this.
    Said(&'static str),
    /// Nothing ran. Both servers say this; nothing in particular if it is empty.
    Out(&'static str),
    /// As [`Out`](Self::Out), where Debian's version lets in: what our server says.
    OutOfOurs(&'static str),
}

use Outcome::{In, Out, OutOfOurs, Printed, Said};

const fn login(user: &'static str, key: &'static str, outcome: Outcome) -> Try {
    Try {
        user,
        key,
        options: "",
        outcome,
    }
}

const NOT_LISTED: Outcome = Out("Certificate invalid: name is not a listed principal");
const NO_PRINCIPAL: Outcome = Out("Certificate does not contain an authorized principal");
const UNTOUCHED: Outcome = Out("user presence (authenticator touch) requirement not met");
const UNVERIFIED: Outcome = Out("user verification requirement not met");

const TRIES: &[Try] = &[
    // An authority of TrustedUserCAKeys.
    login("ca", "good", In),
    login("ca", "key", Out("")),
    login("ca", "expired", Out("Certificate invalid: expired")),
    login("ca", "future", Out("Certificate invalid: not yet valid")),
    login("ca", "nobodys", Out("Certificate lacks principal list")),
    login("ca", "elsewhere", In),
    login("ca", "wrong", NOT_LISTED),
    login(
        "ca",
        "unknown",
        Out("Certificate critical option \"new@example.com\" is not supported"),
    ),
    login("ca", "extension", In),
    login("ca", "near", In),
    login(
        "ca",
        "far",
        Out(
            "Authentication tried for ca with valid certificate but not from a permitted source address (127.0.0.1).",
        ),
    ),
    login("ca", "forced", Printed("forced")),
    login("ca", "bare", Said("PTY allocation request failed")).with("-tt"),
    login("ca", "good", Printed("in")).with("-tt"),
    login("ca", "foreign", Out("")),
    // Other principals than the user's name.
    login("pfile", "staff", In),
    login("pfile", "staff", Said("PTY allocation request failed")).with("-tt"),
    login("pfile", "good", NO_PRINCIPAL),
    login("pnone", "good", NO_PRINCIPAL),
    login("pcommand", "staff", In),
    login("pcommand", "good", NO_PRINCIPAL),
    // Authorities of one account.
    login("line", "good", In),
    login("line", "wrong", NOT_LISTED),
    login("line", "expired", Out("Certificate invalid: expired")),
    // Debian's version takes it to be for everybody.
    login(
        "line",
        "nobodys",
        OutOfOurs("Certificate lacks principal list"),
    ),
    login("line", "ca", Out("")),
    login("named", "staff", In),
    login("named", "good", NO_PRINCIPAL),
    login("plain", "good", In).with("-o CertificateFile=none"),
    login("plain", "good", Out("")).with("-o PubkeyAcceptedAlgorithms=*-cert-v01@openssh.com"),
    // An authority that is certified itself is none.
    login("chain", "chained", Out("")),
    login(
        "alg",
        "good",
        Out("certificate signature algorithm ssh-ed25519"),
    ),
    // RevokedKeys.
    login("revoked", "key", In),
    login("revoked", "key2", Out("revoked by file /srv/c/list")),
    login("rserial", "good", Out("revoked by file /srv/c/krl-serial")),
    login("rserial", "other-serial", In),
    login("rid", "good", Out("revoked by file /srv/c/krl-id")),
    login("rid", "other-serial", In),
    login("rkey", "good", Out("revoked by file /srv/c/krl-key")),
    login("rkey", "other-serial", In),
    login("rhash", "good", Out("revoked by file /srv/c/krl-hash")),
    login("rca", "good", Out("revoked by file /srv/c/krl-ca")),
    login(
        "rmissing",
        "key",
        Out("in revoked keys file /srv/c/missing: No such file or directory"),
    ),
    login("rbroken", "key", Out("in revoked keys file /srv/c/broken")),
    // Security keys.
    login("sk", "ed25519-sk-touch", In),
    login("sk", "ecdsa-sk-touch", In),
    login("sk", "ed25519-sk-free", UNTOUCHED),
    login("sk", "ecdsa-sk-free", UNTOUCHED),
    login("skfree", "ed25519-sk-free", In),
    login("skfree", "ecdsa-sk-free", In),
    login("sktouch", "ed25519-sk-free", UNTOUCHED),
    login("sktouch", "ed25519-sk-touch", In),
    login("skverify", "ed25519-sk-touch", UNVERIFIED),
    login("skverify", "ecdsa-sk-verify", In),
    login("skboth", "ecdsa-sk-touch", UNVERIFIED),
    login("skboth", "ed25519-sk-verify", In),
    login("skca", "sk-touch", In),
    login("skca", "sk-untouched", UNTOUCHED),
    login("skca", "sk-free", In),
    login("skca", "sk-pin", UNVERIFIED),
    login("skca", "sk-verify", In),
];

impl Try {
    const fn with(self, options: &'static str) -> Self {
        Self { options, ..self }
    }
}

#[test]
fn a_login_ends_as_with_debians_sshd_and_says_why() -> Result<()> {
    let server = Server::up("certificates", "")?;
    prepare(&server)?;
    let since = server.now()?;
    let calls: Vec<_> = TRIES
        .iter()
        .map(|attempt| PORTS.map(|port| attempt.call(port)))
        .collect();
    let ended = server.call_beside(&calls, AT_ONCE)?;
    let mut wrong = String::new();
    for (attempt, [ours, theirs]) in TRIES.iter().zip(&ended) {
        let theirs_is_right = match attempt.outcome {
            OutOfOurs(_) => In.is(theirs),
            _ => attempt.outcome.is(theirs),
        };
        if !attempt.outcome.is(ours) || !theirs_is_right {
            let (user, key) = (attempt.user, attempt.key);
            writeln!(wrong, "{user} with {key}: ours {ours:?}, theirs {theirs:?}")?;
        }
    }
    let sentences = TRIES.iter().filter_map(Try::sentence);
    let (mut ours, mut theirs) = (String::new(), String::new());
    let missing = |log: &str| {
        sentences
            .clone()
            .filter(|said| !log.contains(said))
            .collect::<Vec<_>>()
    };
    let complete = eventually("the sentences", Duration::from_secs(3), || {
        ours = server.journal(&["--since", &since, "-o", "cat"])?;
        Ok(missing(&ours).is_empty())
    });
    if complete.is_err() {
        writeln!(wrong, "our server does not say: {:#?}", missing(&ours))?;
    }
    theirs += &server.shell(&format!("cat {THEIR_LOG}"))?;
    let ours_alone = TRIES.iter().filter_map(|attempt| match attempt.outcome {
        OutOfOurs(sentence) => Some(sentence),
        _ => None,
    });
    let unsaid: Vec<_> = missing(&theirs)
        .into_iter()
        .filter(|said| ours_alone.clone().all(|own| own != *said))
        .collect();
    if !unsaid.is_empty() {
        writeln!(wrong, "Debian's sshd does not say: {unsaid:#?}")?;
    }
    // Each refusal of ours names the certificate.
    for (name, why) in [
        ("expired", "Certificate invalid: expired"),
        ("wrong", "Certificate invalid: name"),
    ] {
        let line = format!(
            "error: Refusing certificate ID \"id-{name}\" serial=0 signed by ED25519 CA SHA256:"
        );
        ensure!(
            ours.lines()
                .any(|entry| entry.starts_with(&line) && entry.contains(why)),
            "no line {line}…{why}"
        );
    }
    ensure!(wrong.is_empty(), "{wrong}\nOURS\n{ours}\nTHEIRS\n{theirs}");
    Ok(())
}

impl Try {
    /// The call of `ssh` at a port. One name for the host keys, whatever the port.
    fn call(&self, port: u16) -> String {
        let Self {
            user, key, options, ..
        } = self;
        format!(
            "ssh -F none -i /srv/c/{key} {options} -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
             -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile={KNOWN_HOSTS} \
             -o HostKeyAlias=localhost -o SecurityKeyProvider={PROVIDER} -p {port} {user}@127.0.0.1 'echo in'"
        )
    }

    /// What a log must say.
    fn sentence(&self) -> Option<&'static str> {
        match self.outcome {
            In | Printed(_) | Said(_) | Out("") => None,
            Out(sentence) | OutOfOurs(sentence) => Some(sentence),
        }
    }
}

/// The accounts, the files, the configuration of both servers.
fn prepare(server: &Server) -> Result<()> {
    host::ensure_packages(&["gcc", "libc6-dev", "libssl-dev"])?;
    let library = server.directory().join("security_key.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/security_key.c");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([source, "-lcrypto"])
        .output()
        .context("cc")?;
    ensure!(compiled.status.success(), "{compiled:?}");
    server.copy_in(&library, PROVIDER, 0o755)?;
    let accounts: Vec<&str> = ACCOUNTS.iter().map(|(account, _)| *account).collect();
    let accounts = accounts.join(" ");
    server.shell(&format!(
        "for u in {accounts}; do useradd -m -s /bin/bash $u; install -d -m 700 -o $u -g $u /home/$u/.ssh; done"
    ))?;
    server.shell(&format!("accounts='{accounts}' sk={PROVIDER}\n{FILES}"))?;
    let mut configuration = String::from(
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\nLogLevel VERBOSE\nMaxStartups 100\n",
    );
    for (account, lines) in ACCOUNTS.iter().filter(|(_, lines)| !lines.is_empty()) {
        writeln!(configuration, "Match User {account}\n {lines}")?;
    }
    server.write_file("/root/theirs.conf", configuration.as_bytes(), 0o644)?;
    server.shell(&format!(
        "{THEIRS} -f /root/theirs.conf -p {THEIR_PORT} -E {THEIR_LOG}"
    ))?;
    server.write_file(CONFIGURATION, configuration.as_bytes(), 0o644)?;
    server.reload()
}

impl Outcome {
    /// Whether a call ended like this.
    fn is(&self, ended: &Ended) -> bool {
        let out = ended.out.trim();
        match self {
            In => ended.code == "0" && out == "in",
            Printed(text) => ended.code == "0" && out == *text,
            Said(text) => ended.err.contains(text),
            Out(_) | OutOfOurs(_) => {
                ended.code == "255"
                    && out.is_empty()
                    && ended.err.contains("Permission denied (publickey)")
            }
        }
    }
}
