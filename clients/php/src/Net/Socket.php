<?php

declare(strict_types=1);

namespace Tagcast\Client\Net;

/** A connected socket whose reads and writes have deadlines. It never blocks beyond them. */
final class Socket
{
    private const CHUNK = 65536;

    /** The process that opened it: after a fork the parent's connection is not the child's. */
    private readonly int $process;

    /** @param resource $stream */
    private function __construct(private $stream)
    {
        $this->process = (int) getmypid();
    }

    /** @param float $timeout seconds, the TLS handshake included */
    public static function connect(Address $address, ?string $caFile, float $timeout): self
    {
        $context = stream_context_create([
            'socket' => ['tcp_nodelay' => true],
            'ssl' => ['peer_name' => $address->name] + ($caFile === null ? [] : ['cafile' => $caFile]),
        ]);
        $warnings = [];
        set_error_handler(static function (int $level, string $text) use (&$warnings): bool {
            $warnings[] = preg_replace('/^\w+\(\): /', '', $text);
            return true;
        });
        try {
            $stream = stream_socket_client(
                $address->remote,
                $number,
                $text,
                $timeout,
                STREAM_CLIENT_CONNECT,
                $context,
            );
        } finally {
            restore_error_handler();
        }
        if ($stream === false) {
            // PHP reports a failed TLS handshake as warnings only.
            $why = $text !== '' ? $text : implode('; ', $warnings);
            throw new SocketException("No connection to $address->remote: $why", SocketFailure::Connect);
        }
        stream_set_blocking($stream, false);
        return new self($stream);
    }

    /** Whether an idle connection can be used again: it is open, nothing has arrived, and it is this process's. */
    public function isFresh(): bool
    {
        // TLS has records of its own, so a readable socket may have no bytes for us.
        return $this->isOwn() && @fread($this->stream, 1) === '' && !feof($this->stream);
    }

    /** Whether this process opened it, and not one from which it was forked. */
    public function isOwn(): bool
    {
        return $this->process === getmypid();
    }

    /** @param float $deadline as `microtime(true)` counts */
    public function write(string $bytes, float $deadline): void
    {
        while ($bytes !== '') {
            $written = @fwrite($this->stream, $bytes);
            if ($written === false || ($written === 0 && feof($this->stream))) {
                throw new SocketException('The server closed the connection.', SocketFailure::Lost);
            }
            if ($written === 0) {
                $this->await($deadline, forReading: false);
            }
            $bytes = $written === strlen($bytes) ? '' : substr($bytes, $written);
        }
    }

    /** The next bytes. */
    public function read(float $deadline): string
    {
        while (true) {
            $bytes = $this->readNow();
            if ($bytes !== '') {
                return $bytes;
            }
            $this->await($deadline, forReading: true);
        }
    }

    /** The bytes that have arrived; none is an empty string. */
    public function readNow(): string
    {
        $bytes = @fread($this->stream, self::CHUNK);
        if (($bytes === '' || $bytes === false) && feof($this->stream)) {
            throw new SocketException('The server closed the connection.', SocketFailure::Lost);
        }
        return (string) $bytes;
    }

    public function close(): void
    {
        // A child process must not end the TLS session of its parent, so it only forgets the socket.
        if ($this->isOwn() && is_resource($this->stream)) {
            fclose($this->stream);
        }
    }

    private function await(float $deadline, bool $forReading): void
    {
        $left = $deadline - microtime(true);
        if ($left <= 0) {
            throw new SocketException('The server did not answer in time.', SocketFailure::Timeout);
        }
        $read = $forReading ? [$this->stream] : null;
        $write = $forReading ? null : [$this->stream];
        $none = null;
        $seconds = (int) $left;
        // A signal ends this early; the callers ask again.
        @stream_select($read, $write, $none, $seconds, (int) (($left - $seconds) * 1_000_000) + 1);
    }
}
