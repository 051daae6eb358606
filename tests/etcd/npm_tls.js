// npm_tls.js CERTIFICATE KEY HOST:PORT: TLS before a server that speaks none.
// The suite of npm's etcd3 calls its server by TLS only.  Prints its own port.
'use strict';
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const [cert, key] = process.argv.slice(2, 4).map((path) => fs.readFileSync(path));
const [host, port] = process.argv[4].split(':');
const server = tls.createServer({ cert, key, ALPNProtocols: ['h2'] }, (outer) => {
  const inner = net.connect(Number(port), host);
  outer.on('error', () => inner.destroy());
  inner.on('error', () => outer.destroy());
  outer.pipe(inner).pipe(outer);
});
server.on('tlsClientError', () => {}); // the suite breaks connections on purpose
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
