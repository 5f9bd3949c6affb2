//! What keys and `sshd_config` take away from a session, beside Debian's sshd: what is refused, and what the user is
//! told of it (`ssh -v`); and what is recorded of those who are not let in. What both print must be the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::beside::PORTS;
use e2e::{Server, Shared};
use support::UserKey;
use support::users::KNOWN_HOSTS;

static SERVER: Shared = Shared::new("restrictions", "");

const CONFIGURATION: &str = "\
UsePAM yes
X11Forwarding yes
X11DisplayOffset 40
PermitUserEnvironment yes
Match User noports
    AllowTcpForwarding local
    AllowStreamLocalForwarding local
Match User places
    PermitListen 127.0.0.1:7702
Match User everywhere
    GatewayPorts yes
Match User nothing
    DisableForwarding yes
Match User nodisplay
    X11Forwarding no
Match User opendisplay
    X11UseLocalhost no
Match User noagent
    AllowAgentForwarding no
Match User nosession
    MaxSessions 0
Match User typist,nobodysuch
    PasswordAuthentication yes
";

/// Users with options of their key; `-` is none.
const USERS: &[(&str, &str)] = &[
    ("free", "-"),
    ("noports", "-"),
    ("places", "-"),
    ("everywhere", "-"),
    ("nothing", "-"),
    ("nodisplay", "-"),
    ("opendisplay", "-"),
    ("noagent", "-"),
    (
        "environment",
        r#"environment="A=b c",no-pty,expiry-time="20990101""#,
    ),
    (
        "restricted",
        r#"restrict,pty,permitopen="a:1",permitlisten="2""#,
    ),
    ("keyports", "no-port-forwarding"),
    ("keydisplay", "no-X11-forwarding"),
    ("keyagent", "no-agent-forwarding"),
    ("forced", r#"command="echo forced",no-user-rc"#),
    ("nosession", "-"),
    ("typist", "-"),
];

/// What is done as whom. `SSH` stands for the client.
const CALLS: &[(&str, &str)] = &[
    ("free", TOLD),
    (
        "environment",
        "SSH -v true 2>&1 | grep -v 'key options' | sed -n 's/^debug1: Remote: //p' | sort -u",
    ),
    ("restricted", TOLD),
    ("forced", TOLD),
    ("noports", LISTEN),
    (
        "noports",
        "SSH -v -R /tmp/path:/nowhere true 2>&1 | grep Remote:.*Server",
    ),
    ("keyports", LISTEN),
    ("nothing", LISTEN),
    ("places", LISTEN),
    (
        "places",
        "SSH -v -R 7702:127.0.0.1:1 true 2>&1 | grep -e 'Remote: port' -e Warning; echo $?",
    ),
    (
        "everywhere",
        "SSH -v -R 127.0.0.1:7704:127.0.0.1:1 'ss -Hltn sport = 7704' 2>&1 | grep -e overridden -e LISTEN | sort",
    ),
    (
        "free",
        "SSH -v -R 1023:127.0.0.1:1 true 2>&1 | grep -e Remote:.*Server -e Warning",
    ),
    ("free", DISPLAY),
    ("nodisplay", DISPLAY),
    ("opendisplay", DISPLAY),
    ("keydisplay", DISPLAY),
    ("nothing", DISPLAY),
    ("free", AGENT),
    ("noagent", AGENT),
    ("keyagent", AGENT),
    ("nothing", AGENT),
    ("nosession", "SSH true 2>&1"),
];

/// Users, what is in their `authorized_keys` (`KEY` and `OTHER` are keys, `CA` is an authority), and what they present of
/// `/srv/c`. The last one opens the account.
const LISTS: &[(&str, &str, &str)] = &[
    ("from", "from=\"192.0.2.1\" KEY\nKEY", "-i key"),
    (
        "expired",
        "expiry-time=\"20200101\" KEY\nexpiry-time=\"20200102\" KEY\nKEY",
        "-i key",
    ),
    (
        "malformed",
        "no-such KEY\nnone\nno-such OTHER\ncert-authority KEY\ntunnel=\"x\" KEY\npermitopen=\"x\" KEY\nKEY",
        "-i key",
    ),
    ("two", "from=\"192.0.2.1\" OTHER\nKEY", "-i other -i key"),
    ("modes", "KEY", "-i key"),
    ("command", "OTHER", "-i key"),
    (
        "line",
        "cert-authority,from=\"192.0.2.1\" CA\ncert-authority CA",
        "-i good",
    ),
    ("elsewhere", "cert-authority CA\nOTHER", "-i staff -i other"),
    (
        "unlisted",
        "cert-authority,principals=\"x\" CA\nOTHER",
        "-i good -i other",
    ),
    ("far", "cert-authority CA\nOTHER", "-i far -i other"),
    (
        "unknown",
        "cert-authority CA\nOTHER",
        "-i critical -i other",
    ),
    (
        "two-commands",
        "cert-authority,command=\"x\" CA\nOTHER",
        "-i forced -i other",
    ),
    ("trust-old", "OTHER", "-i old -i other"),
    ("trust-far", "OTHER", "-i far -i other"),
    ("listed-from", "OTHER", "-i staff -i other"),
    ("listed-old", "OTHER", "-i staff -i other"),
    ("listed-malformed", "OTHER", "-i staff -i other"),
    ("listed-none", "OTHER", "-i good -i other"),
];

const LISTS_CONFIGURATION: &str = "\
UsePAM yes
AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2
Match User command
    AuthorizedKeysCommand /srv/c/keys
    AuthorizedKeysCommandUser nobody
Match User trust-*
    TrustedUserCAKeys /srv/c/ca.pub
Match User listed-*
    TrustedUserCAKeys /srv/c/ca.pub
    AuthorizedPrincipalsFile /srv/c/%u
";

/// Makes the keys, the certificates and the lists of principals.
const KEYS: &str = r#"
mkdir /srv/c; cd /srv/c
for key in ca key other; do ssh-keygen -q -t ed25519 -N '' -C $key -f $key; done
certify() {
    name=$1; shift
    cp key $name; cp key.pub $name.pub
    ssh-keygen -q -s ca -I "id-$name" -n "$@" $name.pub
}
certify good $all
certify staff staff
certify far $all -O source-address=192.0.2.0/24
certify old $all -V 20200101:20200102
certify critical $all -O critical:new@example.com
certify forced $all -O force-command=id
echo 'from="192.0.2.1" staff' >listed-from
echo 'expiry-time="20200101" staff' >listed-old
echo 'no-such staff' >listed-malformed
{ echo '#!/bin/sh'; echo 'cat <<.'; printf 'from="192.0.2.1" '; cat key.pub; cat key.pub; } >keys
chmod 755 keys
"#;

/// Makes the accounts of `lists`.
const AUTHORIZE: &str = r#"
cd /srv/c
while IFS=: read -r user list; do
    useradd --create-home --shell /bin/bash $user
    install -d -m 700 -o $user /home/$user/.ssh
    printf "$list
" | sed "s#KEY#$(cat key.pub)#; s#OTHER#$(cat other.pub)#; s#CA#$(cat ca.pub)#" >/home/$user/.ssh/authorized_keys
done <lists
cp /home/modes/.ssh/authorized_keys /home/modes/.ssh/authorized_keys2
chmod 666 /home/modes/.ssh/authorized_keys
"#;

/// What is told, each thing once, without what differs for a reason: sshd says of each line that was refused "Refused by
/// key options" behind what it says of the very option; the options of keys that did not open the account; and, of
/// certificates, their names since OpenSSH 9.9.
const REMARKS: &str = "sed -n 's/^debug1: Remote: //p' | grep -v -e '^Refused by key' -e 'key options:.* port-f' | \
                       sed 's/^Refused Certificate ID \"id-[a-z]*\" serial=0: //' | awk '!seen[$0]++'";

const TOLD: &str = "SSH -v true 2>&1 | sed -n 's/^debug1: Remote: //p' | sort -u";

const LISTEN: &str = "SSH -v -R 7701:127.0.0.1:1 true 2>&1 | grep -e 'Remote: [Sp]' -e Warning";

const DISPLAY: &str = "DISPLAY=:7 SSH -v -Y 'echo [$DISPLAY]; ss -Hltn sport ge 6000 | sed s/.*128// | sort' 2>&1 | sed 's/4[0-9]/4N/g' | \
                       grep -e '^\\[' -e '^ ' -e 'Remote: [^/]' -e 'request failed'";

const AGENT: &str = "ssh-agent SSH -o IdentityAgent=SSH_AUTH_SOCK -A 'test -S \"$SSH_AUTH_SOCK\" && echo agent; test -d ~ && echo ran'";

/// The client of a user at a port.
fn ssh(key: &UserKey, port: u16) -> String {
    let user = &key.user;
    format!("ssh -F /root/ssh_config.{user} -p {port} -o HostKeyAlias=127.0.0.1 server")
}

/// `SSH OPTIONS WORDS`: the host comes after the options.
fn line(key: &UserKey, port: u16, line: &str) -> String {
    line.replace("SSH ", &format!("{} ", ssh(key, port)))
}

/// What the lines print with each server, where that differs.
fn differences(server: &Server, calls: &[(UserKey, &str)]) -> Result<Vec<String>> {
    let lines: Vec<[String; 2]> = calls
        .iter()
        .map(|(key, text)| PORTS.map(|port| line(key, port, text)))
        .collect();
    server.shell("mkdir -p /root/calls")?;
    // One at a time: both servers give out the same displays and ports.
    let ended = server.call_beside(&lines, 1)?;
    let mut different = Vec::new();
    for ((key, text), [ours, theirs]) in calls.iter().zip(ended) {
        let shown = format!("{}: {text}\n{}{}", key.user, ours.out, ours.err);
        if ours.out != theirs.out || ours.err != theirs.err {
            different.push(format!("{shown}-- sshd:\n{}{}", theirs.out, theirs.err));
        }
    }
    Ok(different)
}

#[test]
fn users_are_refused_and_told_as_by_sshd() -> Result<()> {
    let Some(server) = SERVER.ours()? else {
        return Ok(());
    };
    let mut keys = Vec::new();
    for (user, options) in USERS {
        let key = server.add_user(user)?;
        server.client_config(&key, "")?;
        if *options != "-" {
            let file = format!("/home/{user}/.ssh/authorized_keys");
            let script = format!(
                "{{ printf '%s ' \"$1\"; cat {file}; }} >/root/listed; cat /root/listed >{file}"
            );
            server
                .command(["sh", "-ec", &script, "sh", options])
                .run()?
                .success()?;
        }
        keys.push(key);
    }
    let ours = format!("PerSourcePenalties no\n{CONFIGURATION}");
    server.configure_beside([&ours, CONFIGURATION], "")?;
    let calls = CALLS.iter().map(|(user, text)| {
        let key = keys
            .iter()
            .find(|key| key.user == *user)
            .context("a user")?;
        Ok((key.clone(), *text))
    });
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let different = differences(server, &calls)?;
    ensure!(different.is_empty(), "{}", different.join("\n"));
    keys_that_did_not_count(server)?;
    one_family(server, keys.first().context("a user")?)?;
    failures(server)
}

/// What is told of keys, lines and files that did not count.
fn keys_that_did_not_count(server: &Server) -> Result<()> {
    let users: Vec<&str> = LISTS.iter().map(|(user, ..)| *user).collect();
    server.shell(&format!("all={} {KEYS}", users.join(",")))?;
    let mut lines = String::new();
    for (user, list, _) in LISTS {
        lines += &format!("{user}:{}\n", list.replace('\n', "\\n"));
    }
    server.write_file("/srv/c/lists", lines.as_bytes(), 0o600)?;
    server.shell(AUTHORIZE)?;
    let ours = format!("PerSourcePenalties no\n{LISTS_CONFIGURATION}");
    server.configure_beside([&ours, LISTS_CONFIGURATION], "")?;
    let calls = LISTS.iter().map(|(user, _, keys)| {
        PORTS.map(|port| {
            format!(
                "cd /srv/c; ssh -F none -v -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=127.0.0.1 \
                 -o UserKnownHostsFile={KNOWN_HOSTS} {keys} -p {port} {user}@127.0.0.1 true 2>&1 | {REMARKS}"
            )
        })
    });
    let ended = server.call_beside(&calls.collect::<Vec<_>>(), 4)?;
    let mut different = Vec::new();
    for ((user, ..), [ours, theirs]) in LISTS.iter().zip(ended) {
        if ours.out != theirs.out || ours.out.is_empty() {
            different.push(format!("{user}:\n{}-- sshd:\n{}", ours.out, theirs.out));
        }
    }
    ensure!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}

/// AddressFamily holds for what is forwarded, too.
fn one_family(server: &Server, key: &UserKey) -> Result<()> {
    let calls = [
        (
            key.clone(),
            "SSH -R 7705:127.0.0.1:1 'ss -Hltn sport = 7705'",
        ),
        (
            key.clone(),
            "SSH -v -R [::1]:7706:127.0.0.1:1 true 2>&1 | grep Warning",
        ),
        (key.clone(), "SSH -W [::1]:22; SSH -W ip6-localhost:22"),
    ];
    let ours = "PerSourcePenalties no\nAddressFamily inet\n";
    server.configure_beside([ours, "AddressFamily inet\n"], "")?;
    let different = differences(server, &calls)?;
    ensure!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}

/// Who is not let in is in btmp: once for each password, and once for a name that is nobody's.
fn failures(server: &Server) -> Result<()> {
    if server.exec(["test", "-e", "/usr/bin/lastb"])?.code() != Some(0) {
        // Debian 13 has nothing that reads btmp.
        return Ok(());
    }
    server.configure_beside(
        [
            &format!("PerSourcePenalties no\n{CONFIGURATION}"),
            CONFIGURATION,
        ],
        "",
    )?;
    server.shell("printf '#!/bin/sh\\necho wrong\\n' >/root/ask; chmod 755 /root/ask")?;
    let mut lists = Vec::new();
    for port in PORTS {
        let client = format!(
            "SSH_ASKPASS=/root/ask SSH_ASKPASS_REQUIRE=force ssh -F /root/ssh_config.typist -p {port} \
             -o HostKeyAlias=127.0.0.1 -o BatchMode=no -o NumberOfPasswordPrompts=1 \
             -o PreferredAuthentications=password server"
        );
        let script = format!(
            "rm -f /var/log/btmp; install -m 660 -g utmp /dev/null /var/log/btmp
             {client} true & {client} -l nobodysuch true & wait
             for wait in $(seq 100); do test $(lastb | grep -c notty) -ge 3 && break; sleep 0.1; done
             lastb -w | grep notty | cut -c1-36 | sort; lastb -i | grep -c 127.0.0.1"
        );
        let output = server
            .command(["bash", "-c", &script])
            .deadline(Duration::from_secs(60))
            .run()?;
        lists.push(output.text());
    }
    let [ours, theirs] = lists.try_into().map_err(|_| anyhow::anyhow!("two"))?;
    ensure!(ours == theirs, "{ours}\n--\n{theirs}");
    ensure!(ours.contains("typist   ssh:notty    127.0.0.1"), "{ours}");
    ensure!(ours.ends_with("3\n"), "{ours}");
    Ok(())
}
