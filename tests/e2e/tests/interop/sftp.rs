//! Clients of the SFTP subsystem by other authors than OpenSSH's.

use anyhow::{Result, ensure};
use e2e::clients::{self, Compression};
use e2e::packages;

use crate::{Kept, Site};

#[test]
fn psftp_puts_and_gets_trees() -> Result<()> {
    let site = Site::new("psftp")?;
    let mut words = clients::plink(site.server, &site.key, Compression::Off)?;
    "psftp".clone_into(&mut words[0]);
    // What was cut off goes on where it ended, by `reput` and `reget`.
    let script = "put -r up up\nget -r down down\n\
                  reput up/size5000011 half.up\nreget down/size5000011 half.down\n\
                  mkdir new\nmv half.up new/half.up\nchmod 640 new/half.up\nls new\nput up/size0\nrm size0\n";
    let halves = "head -c 2000000 up/size5000011 >/home/psftp/half.up; chown psftp /home/psftp/half.up; \
                  head -c 3000000 /home/psftp/down/size5000011 >half.down; cat >script";
    site.server
        .command(["sh", "-euc", &format!("cd /root/psftp; {halves}")])
        .stdin(script.as_bytes())
        .run()?
        .success()?;
    words.extend(["-b".to_owned(), "script".to_owned()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = site.run(&words)?.text();
    ensure!(said.contains("-rw-r-----"), "{said}");
    ensure!(!said.contains("unable"), "{said}");
    site.must_be_copied(Kept::Names)?;
    site.shell(
        "cmp up/size5000011 /home/psftp/new/half.up; cmp half.down /home/psftp/down/size5000011; \
         test ! -e /home/psftp/size0",
    )?;
    Ok(())
}

#[test]
fn lftp_mirrors() -> Result<()> {
    let site = Site::new("lftp")?;
    site.shell(
        "head -c 2000000 up/size5000011 >/home/lftp/half.up; chown lftp /home/lftp/half.up; \
         lftp -c \"set cmd:fail-exit yes; set sftp:connect-program 'ssh -a -x -F $CONFIG'; open sftp://lftp:@server; \
         mirror -R --parallel=4 up up; mirror --parallel=4 down down; \
         put -c up/size5000011 -o half.up; pget -n 4 down/size5000011 -o pieces\"; \
         cmp up/size5000011 /home/lftp/half.up; cmp pieces /home/lftp/down/size5000011",
    )?;
    site.must_be_copied(Kept::All)?;
    // What is the same is not sent again, and what is gone here goes there.
    let said = site.shell(
        "rm -r up/many; echo more >>up/size1; \
         lftp -c \"set cmd:fail-exit yes; set sftp:connect-program 'ssh -a -x -F $CONFIG'; open sftp://lftp:@server; \
         mirror -R --delete -v up up\"",
    )?;
    let said = said.text() + &said.error_text();
    ensure!(said.contains("size1'"), "{said}");
    ensure!(!said.contains("size32768"), "{said}");
    site.shell("diff -r up /home/lftp/up")?;
    Ok(())
}

#[test]
fn rclone_syncs_and_compares_checksums() -> Result<()> {
    let site = Site::new("rclone")?;
    let rclone = "rclone() { command rclone --config=/dev/null --sftp-host=127.0.0.1 --sftp-user=$LOGIN \
                  --sftp-key-file=$KEY --sftp-known-hosts-file=$KNOWN_HOSTS \"$@\"; }; ";
    site.shell(&format!(
        "{rclone} rclone sync --create-empty-src-dirs up :sftp:up; rclone sync --create-empty-src-dirs :sftp:down down"
    ))?;
    site.must_be_copied(Kept::Times)?;
    // By md5sum on the server, and by reading everything.
    for how in ["", "--download"] {
        let said = site
            .shell(&format!("{rclone} rclone check -v {how} up :sftp:up"))?
            .error_text();
        ensure!(said.contains(": 0 differences found"), "{said}");
        ensure!(!said.contains("could not be checked"), "{said}");
    }
    site.shell(&format!(
        "printf x | dd conv=notrunc status=none of=/home/rclone/up/size32768; \
         if {rclone} rclone check up :sftp:up; then exit 1; fi; \
         rclone sync --checksum up :sftp:up; rclone purge :sftp:down; test ! -e /home/rclone/down"
    ))?;
    site.must_be_equal("/root/rclone/up", "/home/rclone/up", Kept::Files)
}

#[test]
fn sshfs_holds_a_tree_and_a_git_checkout() -> Result<()> {
    let site = Site::new("sshfs")?;
    site.shell(
        "mkdir mounted; sshfs -F $CONFIG -o idmap=user server: mounted; trap 'cd /; fusermount3 -u /root/sshfs/mounted' EXIT; \
         cp -a up mounted/up; cp -a mounted/down down; \
         git -c init.defaultBranch=main init -q work; cp -a up/. work; rmdir work/empty; ln -s size1 work/link; git -C work add .; \
         git -C work -c user.name=t -c user.email=t@t commit -qm all; \
         git clone -q work mounted/work; cd mounted/work; \
         test -z \"$(git status --porcelain)\"; test \"$(readlink link)\" = size1; \
         mv size32767 moved; rm -r many; printf y | dd conv=notrunc status=none of=size32768 bs=1 seek=5; \
         truncate -s 100000 size262143; git add -A; git -c user.name=t -c user.email=t@t commit -qm changed; \
         git fsck --strict; git push -q origin HEAD:changed; df . >/dev/null",
    )?;
    site.must_be_copied(Kept::All)?;
    // The commit that was made there is what is there.
    site.shell(
        "cp -r /home/sshfs/work there; git -C work checkout -q changed; rm -r work/.git there/.git; diff -r work there",
    )?;
    Ok(())
}

/// A program in the language of a client: of Debian's version and of the newest.
fn python(site: &Site, program: &str) -> Result<()> {
    for modules in ["", packages::PYTHON_MODULES] {
        site.shell("rm -rf down /home/$LOGIN/up")?;
        let path = format!("PYTHONPATH={modules}:/root/modules");
        site.run(&["env", &path, "python3", "-W", "ignore", "-c", program])?;
        site.must_be_copied(Kept::All)?;
    }
    Ok(())
}

#[test]
fn asyncssh_moves_trees_in_blocks_of_any_size() -> Result<()> {
    python(&Site::new("asyncssh")?, include_str!("clients/asyncssh.py"))
}

#[test]
fn paramiko_reads_ahead_and_writes_anywhere() -> Result<()> {
    python(&Site::new("paramiko")?, include_str!("clients/paramiko.py"))
}

#[test]
fn ssh2_sftp_client_moves_trees() -> Result<()> {
    let site = Site::new("ssh2")?;
    let modules = format!("NODE_PATH={}", packages::NODE_MODULES);
    let program = include_str!("clients/ssh2_sftp.js");
    site.run(&["env", &modules, "node", "-e", program])?;
    site.must_be_copied(Kept::Names)
}

#[test]
fn curl_moves_files_on_one_connection() -> Result<()> {
    let site = Site::new("curl")?;
    // curl asks for the public key, too.
    let public = format!("{}.pub", site.key.machine_path);
    site.server
        .write_file(&public, site.key.public.as_bytes(), 0o644)?;
    site.run(&["python3", "-c", include_str!("clients/curl.py")])?;
    site.must_be_copied(Kept::Files)
}
