<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\support;

use Nyholm\Psr7\Response;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;

/** A small HTTP client of PSR-18. */
final class StreamHttpClient implements ClientInterface
{
    public function sendRequest(RequestInterface $request): ResponseInterface
    {
        $lines = [];
        foreach (array_keys($request->getHeaders()) as $name) {
            $lines[] = "$name: {$request->getHeaderLine($name)}";
        }
        $body = file_get_contents((string) $request->getUri(), false, stream_context_create(['http' => [
            'method' => $request->getMethod(),
            'header' => $lines,
            'content' => (string) $request->getBody(),
            'ignore_errors' => true,
        ]]));
        preg_match('/ ([0-9]{3})/', $http_response_header[0], $found);
        return new Response((int) $found[1], [], (string) $body);
    }
}
