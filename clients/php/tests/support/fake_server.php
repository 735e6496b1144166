<?php

// The process of a FakeServer: prints its port, then each request.

declare(strict_types=1);

$listener = stream_socket_server('tcp://127.0.0.1:0');
echo explode(':', stream_socket_get_name($listener, false))[1], "\n";
foreach (unserialize(base64_decode((string) fgets(STDIN))) as $number => $steps) {
    $client = stream_socket_accept($listener, 30);
    foreach ($steps as $step) {
        if (is_float($step)) {
            usleep((int) ($step * 1_000_000));
            continue;
        }
        $head = '';
        while (!str_ends_with($head, "\r\n\r\n") && ($byte = fread($client, 1)) !== '' && $byte !== false) {
            $head .= $byte;
        }
        $length = preg_match('/^Content-Length: ([0-9]+)/mi', $head, $found) === 1 ? (int) $found[1] : 0;
        $body = $length === 0 ? '' : stream_get_contents($client, $length);
        if ($head === '') {
            break;
        }
        // A pipe holds 64 KiB, and the test reads it later.
        $event = ['connection' => $number, 'head' => $head, 'body' => substr($body, 0, 20000)];
        echo base64_encode(serialize($event)), "\n";
        fwrite($client, $step);
    }
    fclose($client);
    echo base64_encode(serialize(null)), "\n";
}
sleep(30);
