//! What differs everywhere, and why. What differs in one case stands at the case, in the corpus.

/// Lines that only one of the two prints.
const LEFT_OUT: &[(&str, &str)] = &[
    ("pamservicename", "newer than Debian's sshd"),
    ("gssapidelegatecredentials", "newer than Debian's sshd"),
    ("refuseconnection", "newer than Debian's sshd"),
    ("persourcepenalties", "newer than Debian's sshd"),
    ("persourcepenaltyexemptlist", "newer than Debian's sshd"),
    ("kerberosgetafstoken", "Debian builds without AFS"),
    ("gssapikeyexchange", "a patch of Debian's"),
    ("gssapistorecredentialsonrekey", "a patch of Debian's"),
    ("gssapikexalgorithms", "a patch of Debian's"),
    ("debianbanner", "a patch of Debian's, printed in Debian 13"),
    ("sshdsessionpath", "a program of OpenSSH's since 9.8"),
    ("sshdauthpath", "a program of OpenSSH's since 10.0"),
];

/// Lines that say the same in other words: Debian's, and ours.
const SAME: &[(&str, &str, &str)] = &[
    (
        "permitrootlogin without-password",
        "permitrootlogin prohibit-password",
        "the name of it since OpenSSH 7.0",
    ),
    (
        "ipqos lowdelay throughput",
        "ipqos ef cs0",
        "the default since OpenSSH 10.1",
    ),
    ("ipqos ef cs1", "ipqos ef cs0", "the default in Debian 13"),
    (
        "revokedkeys none",
        "",
        "left out since it is a list (OpenSSH 10.0)",
    ),
    ("logverbose none", "", "means the same as nothing"),
    ("", "channeltimeout none", "left out before OpenSSH 9.3"),
    (
        "",
        "hostkey /etc/ssh/ssh_host_rsa_key",
        "Debian's is run with -h: no default",
    ),
    (
        "",
        "hostkey /etc/ssh/ssh_host_ed25519_key",
        "Debian's is run with -h: no default",
    ),
];

/// Algorithms that Debian's sshd has no name for, or none in this list by default.
const NEW_ALGORITHMS: &[&str] = &[
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
];

/// The lines of an output that must be equal, in their order. Those of `keyword` are left out.
pub(crate) fn comparable(printed: &str, keyword: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    // Moved when it became a list (OpenSSH 10.0).
    let (moved, others): (Vec<&str>, Vec<&str>) = printed
        .lines()
        .partition(|line| line.starts_with("revokedkeys "));
    for line in others.into_iter().chain(moved) {
        let name = line.split(' ').next().unwrap_or_default();
        if keyword == Some(name) || LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
            continue;
        }
        let same = SAME
            .iter()
            .find(|(theirs, ours, _)| *theirs == line || *ours == line);
        match same {
            Some((theirs, ours, _)) if theirs.is_empty() || ours.is_empty() => {}
            Some((_, ours, _)) => lines.push((*ours).to_owned()),
            None if name == "hostbasedacceptedalgorithms" => {
                let known = |algorithm: &&str| !NEW_ALGORITHMS.contains(algorithm);
                let list: Vec<&str> = line.split([' ', ',']).filter(known).collect();
                lines.push(list.join(","));
            }
            // Below `/` OpenSSH writes a relative name with two slashes.
            None => lines.push(line.replace(" //", " /")),
        }
    }
    lines
}
