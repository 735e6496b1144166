<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\Net\Address;
use Tagcast\Client\Net\Socket;
use Tagcast\Client\Net\SocketException;
use Tagcast\Client\Net\SocketFailure;
use UnexpectedValueException;

/** HTTP/1.1 on one kept connection: TCP, TLS, or a Unix socket. Needs no extension and no other package. */
final class SocketTransport implements Transport
{
    private ?Socket $kept = null;

    public function __construct(
        private readonly Address $address,
        private readonly float $connectTimeout,
        private readonly ?string $caFile,
    ) {
    }

    public function send(Request $request, float $timeout, bool $isRepeatable): Response
    {
        $deadline = microtime(true) + $timeout;
        if ($this->kept !== null && !$this->kept->isFresh()) {
            $this->close();
        }
        $wasKept = $this->kept !== null;
        try {
            return $this->exchange($request, $deadline);
        } catch (SocketException $failed) {
            // The server may close an idle connection in the moment in which a request is sent.
            if (!$wasKept || !$isRepeatable || $failed->failure !== SocketFailure::Lost) {
                throw $this->unavailable($failed);
            }
        }
        try {
            return $this->exchange($request, $deadline);
        } catch (SocketException $failed) {
            throw $this->unavailable($failed);
        }
    }

    /** Closes the connection; the next request opens another. */
    public function close(): void
    {
        $this->kept?->close();
        $this->kept = null;
    }

    private function exchange(Request $request, float $deadline): Response
    {
        $wait = min($this->connectTimeout, max(0.001, $deadline - microtime(true)));
        $socket = $this->kept ?? Socket::connect($this->address, $this->caFile, $wait);
        $this->kept = null;
        $reader = new ResponseReader($socket, $deadline);
        try {
            try {
                $socket->write($this->bytes($request), $deadline);
            } catch (SocketException $failed) {
                // A server that refuses a request need not read its body: its answer may be here already.
                if ($failed->failure !== SocketFailure::Lost) {
                    throw $failed;
                }
            }
            $response = $reader->read();
        } catch (SocketException $failed) {
            $socket->close();
            throw $failed;
        } catch (UnexpectedValueException $invalid) {
            $socket->close();
            throw new UnavailableException('invalid_answer', $invalid->getMessage(), 0, [], $invalid);
        }
        if ($reader->isKept()) {
            $this->kept = $socket;
        } else {
            $socket->close();
        }
        return $response;
    }

    private function bytes(Request $request): string
    {
        $head = "$request->method {$this->address->path}{$request->target()} HTTP/1.1\r\n"
            . "Host: {$this->address->host}\r\n";
        foreach ($request->headers as $name => $value) {
            $head .= "$name: $value\r\n";
        }
        if ($request->body !== null) {
            $head .= 'Content-Length: ' . strlen($request->body) . "\r\n";
        }
        return "$head\r\n$request->body";
    }

    private function unavailable(SocketException $failed): UnavailableException
    {
        return new UnavailableException($failed->failure->value, $failed->getMessage(), 0, [], $failed);
    }
}
