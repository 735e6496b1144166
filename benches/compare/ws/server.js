// Forwards `TOPIC MESSAGE` to all clients whose path is /TOPIC. A publisher has the path /.
const { WebSocketServer } = require('ws');

const topics = new Map();
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: false,
});

server.on('connection', (client, request) => {
  const topic = request.url.slice(1);
  if (topic !== '') {
    const members = topics.get(topic) ?? new Set();
    topics.set(topic, members.add(client));
    client.on('close', () => members.delete(client));
  }
  client.on('error', () => client.terminate());
  client.on('message', (data) => {
    const [name, message] = data.toString().split(' ', 2);
    for (const member of topics.get(name) ?? []) {
      member.send(message);
    }
  });
});
