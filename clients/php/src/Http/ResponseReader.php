<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Tagcast\Client\Net\Socket;
use UnexpectedValueException;

/** Reads one HTTP/1.1 answer from a socket. */
final class ResponseReader
{
    private const HEAD_MAX = 65536;
    private const BODY_MAX = 67108864;

    private string $bytes = '';
    private bool $isKept = false;

    public function __construct(private readonly Socket $socket, private readonly float $deadline)
    {
    }

    /** Whether the connection can carry another request after this answer. */
    public function isKept(): bool
    {
        return $this->isKept && $this->bytes === '';
    }

    /** @throws UnexpectedValueException if this is not HTTP */
    public function read(): Response
    {
        do {
            [$status, $headers, $isOld] = $this->readHead();
        } while ($status < 200);
        $isClosed = strtolower($headers['connection'] ?? '') === 'close' || $isOld;
        $body = match (true) {
            $status === 204, $status === 304 => '',
            isset($headers['transfer-encoding']) => $this->readChunks(),
            isset($headers['content-length']) => $this->take($this->length($headers['content-length'], 10)),
            default => throw new UnexpectedValueException('The answer has no length.'),
        };
        $this->isKept = !$isClosed;
        return new Response($status, $headers, $body);
    }

    /** @return array{int, array<string, string>, bool} */
    private function readHead(): array
    {
        $lines = explode("\r\n", $this->takeUntil("\r\n\r\n"));
        if (preg_match('#^HTTP/1\.([01]) ([1-5][0-9]{2})(?: |$)#', array_shift($lines), $found) !== 1) {
            throw new UnexpectedValueException('The answer is not HTTP/1.1.');
        }
        $headers = [];
        foreach ($lines as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $headers[strtolower($name)] = trim($value);
        }
        return [(int) $found[2], $headers, $found[1] === '0'];
    }

    private function readChunks(): string
    {
        $body = '';
        while (true) {
            $size = explode(';', $this->takeUntil("\r\n"))[0];
            $length = $this->length(trim($size), 16);
            if ($length === 0) {
                break;
            }
            $body .= $this->take($length);
            if (strlen($body) > self::BODY_MAX || $this->take(2) !== "\r\n") {
                throw new UnexpectedValueException('The chunks of the answer are invalid.');
            }
        }
        while ($this->takeUntil("\r\n") !== '') {
            // Trailers.
        }
        return $body;
    }

    private function length(string $digits, int $base): int
    {
        $isNumber = $base === 16 ? ctype_xdigit($digits) : ctype_digit($digits);
        if (!$isNumber || strlen($digits) > 10 || intval($digits, $base) > self::BODY_MAX) {
            throw new UnexpectedValueException('The length of the answer is invalid.');
        }
        return intval($digits, $base);
    }

    private function take(int $length): string
    {
        $parts = [$this->bytes];
        $missing = $length - strlen($this->bytes);
        while ($missing > 0) {
            $parts[] = $more = $this->socket->read($this->deadline);
            $missing -= strlen($more);
        }
        $all = implode('', $parts);
        $this->bytes = substr($all, $length);
        return substr($all, 0, $length);
    }

    private function takeUntil(string $end): string
    {
        while (($at = strpos($this->bytes, $end)) === false) {
            if (strlen($this->bytes) > self::HEAD_MAX) {
                throw new UnexpectedValueException('The head of the answer is too long.');
            }
            $this->bytes .= $this->socket->read($this->deadline);
        }
        $found = substr($this->bytes, 0, $at);
        $this->bytes = substr($this->bytes, $at + strlen($end));
        return $found;
    }
}
