// Moves the trees by ssh2-sftp-client, and one file in many pieces at once.

const assert = require("assert");
const fs = require("fs");
const Client = require("ssh2-sftp-client");

const { LOGIN, KEY, KNOWN_HOSTS } = process.env;
const known = fs.readFileSync(KNOWN_HOSTS, "utf8").split("\n").map((line) => line.split(" ")[2]);

async function main() {
  const sftp = new Client();
  await sftp.connect({
    host: "127.0.0.1",
    username: LOGIN,
    readyTimeout: 60000,
    privateKey: fs.readFileSync(KEY),
    hostVerifier: (key) => known.includes(key.toString("base64")),
  });
  await sftp.uploadDir("up", "up");
  await sftp.downloadDir("down", "down");

  const large = fs.readFileSync("up/size5000011");
  await sftp.fastPut("up/size5000011", "pieces", { concurrency: 64, chunkSize: 10007 });
  await sftp.fastGet("pieces", "pieces", { concurrency: 64, chunkSize: 10007 });
  assert(fs.readFileSync("pieces").equals(large));
  await sftp.append(Buffer.from("the end"), "pieces");
  assert((await sftp.get("pieces")).equals(Buffer.concat([large, Buffer.from("the end")])));
  await sftp.posixRename("pieces", "renamed");
  assert.equal(await sftp.exists("pieces"), false);
  assert.equal(await sftp.exists("renamed"), "-");
  await sftp.chmod("renamed", 0o600);
  assert.equal((await sftp.stat("renamed")).mode & 0o777, 0o600);
  await new Promise((made, failed) =>
    sftp.sftp.symlink("renamed", "link", (error) => (error ? failed(error) : made())));
  assert.equal(await sftp.exists("link"), "l");
  await sftp.delete("link");
  await sftp.delete("renamed");
  await sftp.mkdir("a/b/c", true);
  await sftp.rmdir("a", true);
  const names = (await sftp.list("up")).map((entry) => entry.name).sort();
  assert.deepEqual(names, fs.readdirSync("up").sort());
  await sftp.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
