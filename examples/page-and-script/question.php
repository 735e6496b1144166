<?php
/*
 * A script that asks the page that started it, and goes on with the answer of its user.
 *
 * In a web server: question.php?uuid=<the page's UUID>&server=127.0.0.1:8094
 * On a terminal:   php question.php <the page's UUID> 127.0.0.1:8094
 */

require __DIR__ . '/../../clients/php/autoload.php';

use Tagcast\Client\Config;
use Tagcast\Client\Exception\AskException;
use Tagcast\Client\HttpClient;

$uuid = $_GET['uuid'] ?? $argv[1] ?? '';
$server = $_GET['server'] ?? $argv[2] ?? '127.0.0.1:8094';

$client = new HttpClient(new Config(
    "http://$server",
    getenv('TAGCAST_KEY') ?: 'demo',
    getenv('TAGCAST_SECRET') ?: 'demo-secret-known-to-everybody',
));

header('Content-Type: text/plain; charset=utf-8');
try {
    $answer = $client->ask($uuid, ['question' => 'Delete the reports of last year?'], 30.0);
    echo $answer === true ? "deleted\n" : "kept\n";
} catch (AskException $failed) {
    // The page was closed (gone), has lost its connection (away), or its user did not decide (timeout).
    echo "kept: no answer ({$failed->code})\n";
}
