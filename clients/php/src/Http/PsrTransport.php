<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Client\RequestExceptionInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;
use Tagcast\Client\Exception\UnavailableException;

/** Requests by any HTTP client of PSR-18. Its own settings decide about timeouts and kept connections. */
final class PsrTransport implements Transport
{
    /** @param string $url of the server, without a slash at its end */
    public function __construct(
        private readonly string $url,
        private readonly ClientInterface $http,
        private readonly RequestFactoryInterface $requests,
        private readonly StreamFactoryInterface $streams,
    ) {
    }

    public function send(Request $request, float $timeout, bool $isRepeatable): Response
    {
        $sent = $this->requests->createRequest($request->method, $this->url . $request->target());
        foreach ($request->headers as $name => $value) {
            $sent = $sent->withHeader($name, $value);
        }
        if ($request->body !== null) {
            $sent = $sent->withBody($this->streams->createStream($request->body));
        }
        try {
            $response = $this->http->sendRequest($sent);
            $body = (string) $response->getBody();
        } catch (RequestExceptionInterface $refused) {
            throw new UnavailableException('connect_failed', $refused->getMessage(), 0, [], $refused);
        } catch (ClientExceptionInterface $failed) {
            // PSR-18 does not tell whether the request had been sent.
            throw new UnavailableException('connection_lost', $failed->getMessage(), 0, [], $failed);
        }
        $headers = [];
        foreach (array_keys($response->getHeaders()) as $name) {
            $headers[strtolower((string) $name)] = $response->getHeaderLine((string) $name);
        }
        return new Response($response->getStatusCode(), $headers, $body);
    }
}
