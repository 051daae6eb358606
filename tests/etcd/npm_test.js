// The npm client `etcd3` at work; npm_test.py runs this in a directory where it
// is installed.  Prints "ok NAME" for each part, throws at the first surprise.
'use strict';
const assert = require('assert');
const { createRequire } = require('module');
const { Etcd3, EtcdLockFailedError } = createRequire(process.cwd() + '/')('etcd3');

const hosts = process.env.ENDPOINTS.split(',').map(a => 'http://' + a);

async function values(etcd) {
  await etcd.put('npm/a').value('1');
  await etcd.put('npm/b').value(Buffer.from([0, 255]));
  assert.strictEqual(await etcd.get('npm/a').string(), '1');
  assert.strictEqual(await etcd.get('npm/none').string(), null);
  assert.deepStrictEqual((await etcd.getAll().prefix('npm/').keys()).sort(), ['npm/a', 'npm/b']);
  assert.deepStrictEqual((await etcd.getAll().prefix('npm/').buffers())['npm/b'], Buffer.from([0, 255]));
  assert.strictEqual(await etcd.getAll().prefix('npm/').count(), 2);
  const sorted = await etcd.getAll().prefix('npm/').sort('Key', 'Descend').limit(1).keys();
  assert.deepStrictEqual(sorted, ['npm/b']);
  assert.strictEqual((await etcd.delete().prefix('npm/')).deleted, '2');
}

async function transactions(etcd) {
  await etcd.put('npm-t').value('1');
  const first = await etcd.if('npm-t', 'Value', '==', '1').then(etcd.put('npm-t').value('2'))
    .else(etcd.get('npm-t')).commit();
  assert.strictEqual(first.succeeded, true);
  const second = await etcd.if('npm-t', 'Version', '==', 1).then(etcd.put('npm-t').value('3'))
    .else(etcd.get('npm-t')).commit();
  assert.strictEqual(second.succeeded, false);
  assert.strictEqual(second.responses[0].response_range.kvs[0].value.toString(), '2');
  // Software transactional memory: two that read and write the same key.
  await etcd.put('npm-count').value('0');
  await Promise.all([1, 2, 3, 4].map(() => etcd.stm({ retries: 20 }).transact(async tx => {
    const n = await tx.get('npm-count').number();
    await tx.put('npm-count').value(n + 1);
  })));
  assert.strictEqual(await etcd.get('npm-count').number(), 4);
}

async function watches(etcd) {
  const watcher = await etcd.watch().prefix('npm-w/').create();
  const seen = [];
  const enough = new Promise(resolve => {
    watcher.on('put', kv => { seen.push('put ' + kv.key + ' ' + kv.value); });
    watcher.on('delete', kv => { seen.push('delete ' + kv.key); resolve(); });
  });
  await etcd.put('npm-w/1').value('x');
  await etcd.put('npm-w/1').value('y');
  await etcd.delete().key('npm-w/1');
  await enough;
  assert.deepStrictEqual(seen, ['put npm-w/1 x', 'put npm-w/1 y', 'delete npm-w/1']);
  await watcher.cancel();
}

async function leases(etcd) {
  const lease = etcd.lease(60);
  await lease.put('npm-l').value('v');
  const id = await lease.grant();
  const left = await etcd.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  assert.strictEqual(left.grantedTTL, '60');
  assert.deepStrictEqual(left.keys.map(String), ['npm-l']);
  await lease.keepaliveOnce();
  await lease.revoke();
  assert.strictEqual(await etcd.get('npm-l').string(), null);
}

async function locks(etcd) {
  const lock = etcd.lock('npm-lock').ttl(30);
  await lock.acquire();
  await assert.rejects(etcd.lock('npm-lock').ttl(30).acquire(), EtcdLockFailedError);
  await lock.release();
  await etcd.lock('npm-lock').ttl(30).do(async () => {});
}

async function elections(etcd) {
  const election = etcd.election('npm-e', 10);
  const campaign = election.campaign('me');
  await new Promise((resolve, reject) => { campaign.on('elected', resolve); campaign.on('error', reject); });
  assert.strictEqual(await election.leader(), 'me');
  await campaign.resign();
  assert.strictEqual(await election.leader(), undefined);
}

async function upkeep(etcd) {
  const status = await etcd.maintenance.status();
  assert(/^3\.\d+\.\d+$/.test(status.version) && Number(status.dbSize) > 0);
  const members = await etcd.cluster.memberList({});
  assert.deepStrictEqual(members.members.map(m => m.name).sort(), ['s1', 's2', 's3']);
}

async function main() {
  const etcd = new Etcd3({ hosts });
  for (const part of [values, transactions, watches, leases, locks, elections, upkeep]) {
    await part(etcd);
    console.log('ok ' + part.name);
  }
  etcd.close();
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1); });
