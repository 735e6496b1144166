<?php

// A process that publishes, and its child that publishes with the same client: prints how many clients each reached.

declare(strict_types=1);

require __DIR__ . '/../bootstrap.php';

use Tagcast\Client\Config;
use Tagcast\Client\HttpClient;
use Tagcast\Client\To;

[, $url, $key, $secret, $room] = $argv;
$client = new HttpClient(new Config($url, $key, $secret));
$client->broadcast('before');
$child = pcntl_fork();
$matched = 0;
for ($n = 0; $n < 100; $n++) {
    $matched += $client->publish(To::tags(['room' => $room]), $n)->matched;
}
if ($child !== 0) {
    pcntl_waitpid($child, $status);
    $matched += $client->publish(To::tags(['room' => $room]), 'after')->matched;
}
echo "$matched\n";
