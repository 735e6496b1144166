<?php
// The logic of a chat. Tagcast posts events, and the script prints commands.
$members = ['anna', 'bert'];

$body = file_get_contents('php://input');
$time = $_SERVER['HTTP_X_TAGCAST_TIMESTAMP'] ?? '';
$signature = hash_hmac('sha256', "$time.$body", getenv('CHAT_SECRET'));
$isGenuine = hash_equals($signature, $_SERVER['HTTP_X_TAGCAST_SIGNATURE'] ?? '');
if (!$isGenuine || abs(time() - (int) $time) > 60) {
    http_response_code(401);
    exit;
}

$event = json_decode($body, true);
parse_str($event['query'] ?? '', $query);
$name = $event['user'] ?? $query['name'] ?? '';
$tell = fn (string $text) => [
    'command' => 'publish', 'to' => 'resource', 'message' => ['from' => $name, 'text' => $text],
];

header('Content-Type: application/json');
echo json_encode(match ($event['event']) {
    'open' => in_array($name, $members, true)
        ? [['command' => 'accept', 'user' => $name, 'tags' => ['name' => $name]], $tell('has come')]
        : [['command' => 'refuse', 'reason' => 'you are not on the list']],
    'message' => [$tell($event['text'] ?? '')],
    'close' => [$tell('has left')],
    default => [],
});
