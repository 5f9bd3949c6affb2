//! Which accounts may be used, as PAM, shadow(5) and the configuration say: whom stock `ssh` gets in with the right key,
//! what the others are told, and what the journal says of them.

use std::time::Duration;

use anyhow::{Result, bail};
use e2e::server::eventually;
use e2e::{Peer, Server};
use support::UserKey;

/// In a file of their own, so that what the package's says is in no Match block.
const RULES: &str = "Match User allowed\n\
     AllowUsers nobody allowed@127.0.0.0/8\n\
     Match User elsewhere\n\
     AllowUsers nobody elsewhere@192.0.2.0/24\n\
     Match User shunned\n\
     DenyGroups outcasts\n\
     Match User exposed\n\
     ExposeAuthInfo yes\n\
     Match LocalAddress 127.0.0.2\n\
     PermitRootLogin no\n\
     Match LocalAddress 127.0.0.3\n\
     PermitRootLogin prohibit-password\n\
     Match LocalAddress 127.0.0.4\n\
     PermitRootLogin forced-commands-only\n\
     Match LocalAddress 127.0.0.5\n\
     PermitRootLogin yes\n";

const BY_PAM: &str = "by PAM account configuration [preauth]";

/// Has these settings hold beside the rules.
fn configure(server: &Server, settings: &str) -> Result<()> {
    server.write_file("/etc/ssh/rules.conf", RULES.as_bytes(), 0o644)?;
    server.configure(&format!("{settings}\nInclude /etc/ssh/rules.conf\n"))
}

/// What `ssh` to this address of the machine ends with, and says.
fn login(server: &Server, key: &UserKey, address: &str) -> Result<(Option<i32>, String)> {
    let address = format!("HostName={address}");
    let options = ["-o", &address, "-o", "HostKeyAlias=127.0.0.1"];
    let output = server.ssh(key, &options, &["echo I am in"]).run()?;
    Ok((output.code(), output.text() + &output.error_text()))
}

fn must_be_in(server: &Server, key: &UserKey) -> Result<()> {
    let (code, said) = login(server, key, "127.0.0.1")?;
    assert!(
        code == Some(0) && said == "I am in\n",
        "{}: {said}",
        key.user
    );
    Ok(())
}

/// The user does not get in, is told this, and the journal says that.
fn must_be_out(server: &Server, key: &UserKey, told: &str, sentence: &str) -> Result<()> {
    let since = server.now()?;
    let (code, said) = login(server, key, "127.0.0.1")?;
    assert_eq!(code, Some(255), "{}: {said}", key.user);
    assert!(
        said.contains(told) && !said.contains("I am in"),
        "{}: {said}",
        key.user
    );
    server.wait_for_entry(&since, &[sentence])?;
    Ok(())
}

const DENIED: &str = "Permission denied (publickey";

#[test]
fn pam_and_the_configuration_say_which_accounts_may_be_used() -> Result<()> {
    let server = Server::up("accounts", "")?;
    configure(&server, "UsePAM yes")?;
    expired_and_locked(&server)?;
    shells(&server)?;
    lists_of_users_and_groups(&server)?;
    root_by_permit_root_login(&server)?;
    nologin_is_told_by_pam(&server)?;
    the_session_can_see_how_its_user_was_authenticated(&server)?;
    the_account_part_of_sshd_counts(&server)?;
    if server.peer() == Peer::Ours {
        another_service_counts_where_it_is_named(&server)?;
    }
    Ok(())
}

#[test]
fn without_pam_shadow_says_which_accounts_may_be_used() -> Result<()> {
    let server = Server::up("accounts-shadow", "")?;
    configure(&server, "UsePAM no")?;
    // useradd locks what it gives no password.
    let key = server.add_user("expired")?;
    server.exec(["usermod", "-p", "*", "expired"])?.success()?;
    must_be_in(&server, &key)?;
    server.exec(["chage", "-E", "1", "expired"])?.success()?;
    must_be_out(&server, &key, DENIED, "Account expired has expired")?;

    let key = server.add_user("locked")?;
    server.exec(["usermod", "-p", "*", "locked"])?.success()?;
    must_be_in(&server, &key)?;
    server.exec(["usermod", "-L", "locked"])?.success()?;
    let sentence = "User locked not allowed because account is locked";
    must_be_out(&server, &key, DENIED, sentence)?;

    // No entry of shadow(5), no verdict of its.
    let key = server.add_user("unshadowed")?;
    server.shell("sed -i /^unshadowed:/d /etc/shadow")?;
    must_be_in(&server, &key)?;
    // A key is no password that could have expired.
    let key = server.add_user("aged")?;
    server.exec(["usermod", "-p", "*", "aged"])?.success()?;
    server
        .exec(["chage", "-d", "1", "-M", "10", "-I", "1", "aged"])?
        .success()?;
    must_be_in(&server, &key)?;

    server.write_file("/etc/nologin", b"the machine goes down\n", 0o644)?;
    let since = server.now()?;
    let (code, said) = login(&server, &key, "127.0.0.1")?;
    assert!(
        code == Some(254) && said == "the machine goes down\n",
        "{said}"
    );
    let sentence = "User aged not allowed because /etc/nologin exists";
    server.wait_for_entry(&since, &[sentence])?;
    let root = root(&server, "root-in-need")?;
    must_be_in(&server, &root)
}

fn expired_and_locked(server: &Server) -> Result<()> {
    let key = server.add_user("expired")?;
    must_be_in(server, &key)?;
    server.exec(["chage", "-E", "1", "expired"])?.success()?;
    let told = "Your account has expired; please contact your system administrator.";
    let sentence = format!("Access denied for user expired {BY_PAM}");
    must_be_out(server, &key, told, &sentence)?;
    // A password that nobody can give is no matter of a key's.
    let key = server.add_user("locked")?;
    server.exec(["usermod", "-L", "locked"])?.success()?;
    must_be_in(server, &key)
}

fn shells(server: &Server) -> Result<()> {
    for (user, shell, why) in [
        ("missing", "/nonexistent/shell", "does not exist"),
        ("plain", "/etc/passwd", "is not executable"),
    ] {
        let key = server.add_user(user)?;
        server.exec(["usermod", "-s", shell, user])?.success()?;
        let sentence = format!("User {user} not allowed because shell {shell} {why}");
        must_be_out(server, &key, DENIED, &sentence)?;
    }
    Ok(())
}

fn lists_of_users_and_groups(server: &Server) -> Result<()> {
    let key = server.add_user("allowed")?;
    must_be_in(server, &key)?;
    let key = server.add_user("elsewhere")?;
    let sentence = "User elsewhere from 127.0.0.1 not allowed because not listed in AllowUsers";
    must_be_out(server, &key, DENIED, sentence)?;

    let key = server.add_user("shunned")?;
    must_be_in(server, &key)?;
    server.shell("groupadd outcasts; usermod -aG outcasts shunned")?;
    let sentence =
        "User shunned from 127.0.0.1 not allowed because a group is listed in DenyGroups";
    must_be_out(server, &key, DENIED, sentence)
}

/// A key that root may log in with.
fn root(server: &Server, name: &str) -> Result<UserKey> {
    let user = "root".to_owned();
    let key = server.make_key(name)?;
    server.authorize("root", &key.public)?;
    Ok(UserKey { user, ..key })
}

fn root_by_permit_root_login(server: &Server) -> Result<()> {
    let key = root(server, "root-by-setting")?;
    for (address, permitted) in [
        ("127.0.0.2", false),
        ("127.0.0.3", true),
        ("127.0.0.4", false),
        ("127.0.0.5", true),
    ] {
        let since = server.now()?;
        let (code, said) = login(server, &key, address)?;
        assert_eq!(code == Some(0), permitted, "{address}: {said}");
        assert_eq!(said == "I am in\n", permitted, "{address}: {said}");
        if !permitted {
            server.wait_for_entry(&since, &["ROOT LOGIN REFUSED FROM "])?;
        }
    }
    let forced = format!("command=\"echo this only\" {}", key.public);
    server.write_file("/root/.ssh/authorized_keys", forced.as_bytes(), 0o600)?;
    let said = login(server, &key, "127.0.0.4")?;
    assert_eq!(said, (Some(0), "this only\n".to_owned()));
    let (code, said) = login(server, &key, "127.0.0.2")?;
    assert_eq!(code, Some(255), "{said}");
    server.write_file("/root/.ssh/authorized_keys", key.public.as_bytes(), 0o600)
}

fn nologin_is_told_by_pam(server: &Server) -> Result<()> {
    let key = server.add_user("patient")?;
    let root = root(server, "root-in-need")?;
    server.write_file("/etc/nologin", b"the machine goes down\n", 0o644)?;
    let sentence = format!("Access denied for user patient {BY_PAM}");
    must_be_out(server, &key, "the machine goes down", &sentence)?;
    let (code, said) = login(server, &root, "127.0.0.1")?;
    assert!(code == Some(0) && said.contains("I am in\n"), "{said}");
    server.shell("rm /etc/nologin")?;
    must_be_in(server, &key)
}

fn the_session_can_see_how_its_user_was_authenticated(server: &Server) -> Result<()> {
    let key = server.add_user("exposed")?;
    let look = "echo $SSH_USER_AUTH; stat -c '%a %U' $SSH_USER_AUTH; cat $SSH_USER_AUTH";
    let said = server.ssh(&key, &[], &[look]).run()?.success()?.text();
    let lines: Vec<_> = said.lines().collect();
    let public: Vec<_> = key.public.split(' ').take(2).collect();
    let method = format!("publickey {}", public.join(" "));
    let [path, mode, content] = lines[..] else {
        bail!("{said}");
    };
    assert_eq!([mode, content], ["600 exposed", &method]);
    let gone = format!("test -e {path} || echo gone");
    eventually("the file is gone", Duration::from_secs(5), || {
        Ok(server.shell(&gone)? == "gone\n")
    })?;
    // Nobody else is told.
    let key = server.add_user("reserved")?;
    let look = "echo \"[$SSH_USER_AUTH]\"";
    let said = server.ssh(&key, &[], &[look]).run()?.success()?.text();
    assert_eq!(said, "[]\n");
    Ok(())
}

fn the_account_part_of_sshd_counts(server: &Server) -> Result<()> {
    let key = server.add_user("default")?;
    must_be_in(server, &key)?;
    let stack = server.shell("cat /etc/pam.d/sshd")?;
    let refusal = "account [default=ignore success=1] pam_succeed_if.so quiet user != default\n\
         account required pam_deny.so\n";
    server.write_file(
        "/etc/pam.d/sshd",
        (refusal.to_owned() + &stack).as_bytes(),
        0o644,
    )?;
    let sentence = format!("Access denied for user default {BY_PAM}");
    must_be_out(server, &key, "", &sentence)?;
    server.write_file("/etc/pam.d/sshd", stack.as_bytes(), 0o644)?;
    must_be_in(server, &key)
}

fn another_service_counts_where_it_is_named(server: &Server) -> Result<()> {
    let key = server.add_user("service")?;
    must_be_in(server, &key)?;
    server.write_file("/etc/pam.d/own", b"account required pam_deny.so\n", 0o644)?;
    configure(server, "UsePAM yes\nPAMServiceName own")?;
    let sentence = format!("Access denied for user service {BY_PAM}");
    must_be_out(server, &key, "", &sentence)?;
    server.write_file("/etc/pam.d/own", b"account required pam_permit.so\n", 0o644)?;
    must_be_in(server, &key)
}
