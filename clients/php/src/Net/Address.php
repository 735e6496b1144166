<?php

declare(strict_types=1);

namespace Tagcast\Client\Net;

use InvalidArgumentException;

/** The address of a server, read from a URL. */
final class Address
{
    private const PORTS = ['http' => 80, 'ws' => 80, 'https' => 443, 'wss' => 443];

    /**
     * @param string $scheme `http`, `https`, `ws`, `wss` or `unix`
     * @param string $remote what `stream_socket_client` connects to
     * @param string $host the header `Host`
     * @param string $name the name that a certificate must have
     * @param string $path without a slash at its end; empty for a server at the root
     * @param string $query without `?`
     */
    private function __construct(
        public readonly string $scheme,
        public readonly string $remote,
        public readonly string $host,
        public readonly string $name,
        public readonly string $path,
        public readonly string $query,
    ) {
    }

    /** Reads `http://host:port/path`, `https://…`, `ws://…`, `wss://…` or `unix:/path`. */
    public static function parse(string $url): self
    {
        if (str_starts_with($url, 'unix:')) {
            $path = '/' . ltrim(substr($url, 5), '/');
            return new self('unix', "unix://$path", 'localhost', 'localhost', '', '');
        }
        $parts = parse_url($url);
        $scheme = strtolower($parts['scheme'] ?? '');
        $name = $parts['host'] ?? '';
        if ($name === '' || !isset(self::PORTS[$scheme]) || preg_match('/[\x00-\x20\x7f]/', $url) === 1) {
            throw new InvalidArgumentException(
                'The address of the server is http://host:port, https://host, ws://host:port, wss://host or unix:/path.'
            );
        }
        $port = $parts['port'] ?? self::PORTS[$scheme];
        $isSecure = self::PORTS[$scheme] === 443;
        return new self(
            $scheme,
            ($isSecure ? 'ssl' : 'tcp') . "://$name:$port",
            $port === self::PORTS[$scheme] ? $name : "$name:$port",
            trim($name, '[]'),
            rtrim($parts['path'] ?? '', '/'),
            $parts['query'] ?? '',
        );
    }

    /** Whether it is an address for WebSockets. */
    public function isWebSocket(): bool
    {
        return $this->scheme === 'ws' || $this->scheme === 'wss';
    }
}
