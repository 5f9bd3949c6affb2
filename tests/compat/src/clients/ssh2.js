// Runs a command by ssh2: key, user, known hosts, compression, command.

const fs = require("fs");
const { Client } = require("ssh2");

const [identity, user, knownHosts, compression, command] = process.argv.slice(1);
const known = fs.readFileSync(knownHosts, "utf8").split("\n").map((line) => line.split(" ")[2]);
const client = new Client();
client
  .on("ready", () => {
    client.exec(command, (error, stream) => {
      if (error) throw error;
      stream.on("exit", (status) => { process.exitCode = status; });
      stream.on("close", () => client.end());
      stream.stderr.pipe(process.stderr);
      stream.pipe(process.stdout);
      process.stdin.pipe(stream);
    });
  })
  .connect({
    host: "127.0.0.1",
    username: user,
    // It tests the prime of a group exchange, of 8192 bits for some ciphers, and has 20 seconds for a handshake.
    readyTimeout: 110000,
    privateKey: fs.readFileSync(identity),
    hostVerifier: (key) => known.includes(key.toString("base64")),
    algorithms: { compress: [compression === "compressed" ? "zlib@openssh.com" : "none"] },
  });
