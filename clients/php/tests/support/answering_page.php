<?php

// A page that prints its UUID and answers questions: `{"double":21}` by 42; and it leaves at `"leave"`.

declare(strict_types=1);

require __DIR__ . '/../bootstrap.php';

use Tagcast\Client\Tests\support\Page;

$page = new Page($argv[1], '/web', $argv[2]);
echo $page->uuid, "\n";
while (true) {
    $packet = json_decode($page->receive(), true);
    if (!isset($packet['ask'])) {
        continue;
    }
    if ($packet['message'] === 'leave') {
        exit;
    }
    if (isset($packet['message']['double'])) {
        $page->send(json_encode([
            'opcode' => 'answer',
            'ask' => $packet['ask'],
            'message' => 2 * $packet['message']['double'],
        ]));
    }
}
