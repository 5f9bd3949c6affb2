# The accounts, keys and certificates that the table names. Written into the files of passwords at once: useradd would
# take seven seconds. Everybody's password is `right`; every account's authorized_keys has the key `good`.

SIX='$6$rounds=1000$situations$XyyiGjc/mdjrdFpLLZh6zJ2oCvSfGkHUufz0ZICsgxxjH/BP.qfyZHiMKSg5KVjP65iDmmqKW9CFnP4.iqhF61'
YES='$y$j9T$0123456789abcdefghijk.$nxnhVQFgcmHnqjZWXeXg.zKmrP5tlr/NIoy9kAaEFd2'
TODAY=$(($(date +%s) / 86400))
UID_NEXT=3000
mkdir -p /root/keys /root/files
cd /root/keys

# name, field of the password, last change:min:max:warn:inactive:expire, shell, uid
account() {
    name=$1 password=${2-$SIX} ages=${3-$TODAY:0:99999:7::} shell=${4-/bin/sh} uid=${5-$UID_NEXT}
    UID_NEXT=$((UID_NEXT + 1))
    echo "$name:x:$uid:$uid::/home/$name:$shell" >>/etc/passwd
    echo "$name:$password:$ages:" >>/etc/shadow
    [ "$uid" = 0 ] || echo "$name:x:$uid:" >>/etc/group
    mkdir -p -m 755 "/home/$name"
    mkdir -m 700 "/home/$name/.ssh"
    cp good.pub "/home/$name/.ssh/authorized_keys"
    chown -R "$uid:$uid" "/home/$name"
}

# An account whose authorized_keys has these lines instead.
keys() {
    name=$1
    shift
    account "$name"
    printf '%s\n' "$@" >"/home/$name/.ssh/authorized_keys"
}

for name in good other wrong1 wrong2 wrong3 wrong4 wrong5 wrong6 wrong7 leaf ca ca2 revoked; do
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$name" &
done
ssh-keygen -q -t ecdsa -N '' -C ecdsa -f ecdsa &
ssh-keygen -q -t rsa -b 2048 -N '' -C rsa2048 -f rsa2048 &
ssh-keygen -q -t rsa -b 1024 -N '' -C rsa1024 -f rsa1024 &
wait
GOOD=$(cat good.pub) OTHER=$(cat other.pub)

# ---- passwords and ages

account alice "$YES"
account bob
account locked "!$SIX"
account star '*'
account bangs '!!'
account lk "*LK*$SIX"
account bang '!'
account empty ''
account garbage 'x'
account expired "$SIX" "$TODAY:0:99999:7::1"
account aged "$SIX" '0:0:99999:7::'
account outdated "$SIX" '1000:0:10:7::'
account inactive "$SIX" '1000:0:10:7:1:'
account notyet "$SIX" "$TODAY:99:99999:7::"
account stuck "$SIX" "1000:9999:10:7::"
account warned "$SIX" "$((TODAY - 5)):0:8:7::"
account renew-ours "$SIX" '0:0:99999:7::'
account renew-theirs "$SIX" '0:0:99999:7::'
account agedlocked "!$SIX" '0:0:99999:7::'
account unshadowed
sed -i '/^unshadowed:/d' /etc/shadow
account inpasswd
sed -i '/^inpasswd:/d' /etc/shadow
sed -i "s|^inpasswd:x:|inpasswd:$SIX:|" /etc/passwd

# ---- shells, numbers, names

account nologin "$SIX" "$TODAY:0:99999:7::" /usr/sbin/nologin
account falsy "$SIX" "$TODAY:0:99999:7::" /bin/false
account noshell "$SIX" "$TODAY:0:99999:7::" /nonexistent/shell
account notexec "$SIX" "$TODAY:0:99999:7::" /etc/passwd
account dirshell "$SIX" "$TODAY:0:99999:7::" /tmp
account emptyshell "$SIX" "$TODAY:0:99999:7::" ''
account toor "$SIX" "$TODAY:0:99999:7::" /bin/sh 0
account Capital
account with.dot
account with-dollar\$
account under_score
account a12345678901234567890123456789012
sed -i "s|^root:[^:]*:|root:$SIX:|" /etc/shadow
mkdir -p -m 700 /root/.ssh
cp good.pub /root/.ssh/authorized_keys
usermod -aG games bob

# ---- homes and files

account homeless
rm -r /home/homeless
account homewide
chmod 777 /home/homewide
account homeshut
chmod 000 /home/homeshut
account sshwide
chmod 777 /home/sshwide/.ssh
account filewide
chmod 666 /home/filewide/.ssh/authorized_keys
account filegroup
chmod 660 /home/filegroup/.ssh/authorized_keys
account fileshut
chmod 000 /home/fileshut/.ssh/authorized_keys
account foreign
chown bob: /home/foreign/.ssh/authorized_keys
account foreignroot
chown root: /home/foreignroot/.ssh/authorized_keys
account linked
mv /home/linked/.ssh/authorized_keys /home/linked/keys
ln -s ../keys /home/linked/.ssh/authorized_keys
account directory
rm /home/directory/.ssh/authorized_keys
mkdir /home/directory/.ssh/authorized_keys
account pipe
rm /home/pipe/.ssh/authorized_keys
mkfifo -m 600 /home/pipe/.ssh/authorized_keys
chown pipe: /home/pipe/.ssh/authorized_keys
account nofile
rm /home/nofile/.ssh/authorized_keys
account second
mv /home/second/.ssh/authorized_keys /home/second/.ssh/authorized_keys2
mkdir /root/files/keys
chmod 755 /root
for name in alice bob; do
    cp other.pub "/root/files/keys/$name"
done

# ---- lines of authorized_keys

keys two "$GOOD" "$OTHER"
keys from-ok "from=\"127.0.0.0/8,!127.5.0.1\" $GOOD"
keys from-other "from=\"192.0.2.1\" $GOOD"
keys from-bad "from=\"127.0.0.1/33\" $GOOD"
keys past "expiry-time=\"20200101\" $GOOD"
keys future "expiry-time=\"20990101\" $GOOD"
keys never "expiry-time=\"tomorrow\" $GOOD"
keys command "command=\"echo forced\" $GOOD"
keys commands "command=\"echo one\",command=\"echo two\" $GOOD"
keys no-pty "no-pty $GOOD"
keys restrict "restrict $GOOD"
keys restrict-pty "restrict,pty $GOOD"
keys environment "environment=\"GREETING=hello\" $GOOD"
keys unknown-option "no-such-option $GOOD"
keys quote "command=\"echo $GOOD"
keys upper "NO-PTY $GOOD"
keys secondline "from=\"192.0.2.1\" $GOOD" "$GOOD"
keys comments '# a comment' '' '  ' "   $GOOD"
keys nonsense 'ssh-ed25519 AAAA' 'ssh-nonsense AAAA' "$GOOD"
keys cut "$(echo "$GOOD" | cut -c -60)"
keys rsa "$(cat rsa2048.pub)" "$(cat rsa1024.pub)" "$(cat ecdsa.pub)"
keys authority "cert-authority $(cat ca.pub)"
keys authority-named "cert-authority,principals=\"somebody,alice\" $(cat ca.pub)"
keys authority-command "cert-authority,command=\"echo forced\" $(cat ca.pub)"
keys authority-plain "$(cat ca.pub)"
keys certified "cert-authority $(cat other.pub)" "$GOOD"
keys tunnel "tunnel=\"1\",port-forwarding,no-agent-forwarding,permitopen=\"localhost:80\" $GOOD"
keys principals-only "principals=\"alice\" $GOOD"
keys touch "no-touch-required,verify-required $GOOD"
keys rootforced ''

# ---- certificates: name, principals, more

certificate() {
    name=$1 principals=$2
    shift 2
    cp leaf "cert-$name"
    cp leaf.pub "cert-$name.pub"
    ssh-keygen -q -s ca -I "id-$name" ${principals:+-n "$principals"} "$@" "cert-$name.pub"
}
certificate alice alice
certificate everybody '*'
certificate several somebody,alice,authority
certificate nobody ''
certificate old alice -V 20200101:20200102
certificate early alice -V 20980101:20990101
certificate serial alice,authority,bob -z 7
certificate command alice,authority-command -O force-command='echo from the certificate'
certificate here alice -O source-address=127.0.0.0/8
certificate elsewhere alice -O source-address=192.0.2.1/32
certificate no-pty alice -O no-pty
certificate critical alice -O critical:unheard@example.com=1
certificate host alice -h
certificate stranger stranger
cp leaf cert-other
cp leaf.pub cert-other.pub
ssh-keygen -q -s ca2 -I id-other -n alice cert-other.pub
cp ca.pub /root/files/authorities
cp revoked.pub /root/files/revoked
cat revoked.pub >>/home/alice/.ssh/authorized_keys
ssh-keygen -q -k -f /root/files/krl revoked.pub
printf 'serial: 7\n' >/root/files/krl.spec
ssh-keygen -q -k -f /root/files/krl-serial -s ca.pub /root/files/krl.spec
echo somebody >/root/files/principals

# ---- other files

printf 'welcome to all\nsecond line\n' >/root/files/banner
: >/root/files/empty
echo 'the machine goes down' >/root/files/nologin
sed -i 's/pam_unix.so nullok$/pam_unix.so nullok nodelay/' /etc/pam.d/common-auth

# A manager for each user that logs in would cost more than all the rest.
mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nPAMName=\nExecStart=\nExecStart=/bin/true\n' \
    >/etc/systemd/system/user@.service.d/cheap.conf
systemctl daemon-reload

# What answers ssh's questions: the next of the words in the file $ANSWERS, and the question goes to the client's words.
cat >/root/files/ask <<'END'
#!/bin/sh
printf 'asked: %s\n' "$1" >&2
read -r answer rest <"$ANSWERS" || exit 1
printf '%s\n' "$rest" >"$ANSWERS"
[ "$answer" = nothing ] || printf '%s' "$answer"
echo
END
chmod 755 /root/files/ask
