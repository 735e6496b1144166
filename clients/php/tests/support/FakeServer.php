<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\support;

use RuntimeException;

/** A server that gives prepared answers, in a process of its own. */
final class FakeServer
{
    public readonly int $port;

    /** @var resource */
    private $process;

    /** @var array<int, resource> */
    private array $pipes = [];

    /** @var list<array{connection: int, head: string, body: string}> */
    private array $requests = [];

    /**
     * @param list<list<string|float>> $connections what happens on each connection, one after the other: a string is
     *     the answer to the next request, a number waits for so many seconds; then the connection is closed
     */
    public function __construct(array $connections)
    {
        $command = [PHP_BINARY, __DIR__ . '/fake_server.php'];
        $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w']], $this->pipes);
        if (!is_resource($process)) {
            throw new RuntimeException('The server does not start.');
        }
        $this->process = $process;
        fwrite($this->pipes[0], base64_encode(serialize($connections)) . "\n");
        $this->port = (int) fgets($this->pipes[1]);
    }

    public function __destruct()
    {
        proc_terminate($this->process, 9);
        proc_close($this->process);
    }

    public function url(): string
    {
        return "http://127.0.0.1:$this->port";
    }

    /**
     * The next request, with the number of its connection.
     *
     * @return array{connection: int, head: string, body: string}
     */
    public function request(): array
    {
        while ($this->requests === []) {
            $this->readEvent();
        }
        return array_shift($this->requests);
    }

    /** Waits until it has closed the next connection. */
    public function waitUntilClosed(): void
    {
        while ($this->readEvent() !== null) {
            continue;
        }
    }

    /** @return array{connection: int, head: string, body: string}|null a request; null: a connection was closed */
    private function readEvent(): ?array
    {
        $line = fgets($this->pipes[1]);
        if ($line === false) {
            throw new RuntimeException('The server has ended.');
        }
        $event = unserialize(base64_decode($line));
        if ($event !== null) {
            $this->requests[] = $event;
        }
        return $event;
    }

    /** An answer with a JSON body. */
    public static function answer(int $status, string $body, string $headers = ''): string
    {
        $length = strlen($body);
        return "HTTP/1.1 $status Status\r\nContent-Length: $length\r\n$headers\r\n$body";
    }
}
