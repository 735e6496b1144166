<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Closure;
use DateTimeImmutable;
use InvalidArgumentException;
use JsonException;
use Psr\Log\LoggerInterface;
use Tagcast\Client\Config;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\UnavailableException;

/** Sends requests with the application's credentials, repeats them where that is safe, and reads their answers. */
final class Api
{
    private const JSON = JSON_THROW_ON_ERROR
        | JSON_PRESERVE_ZERO_FRACTION
        | JSON_UNESCAPED_SLASHES
        | JSON_UNESCAPED_UNICODE;

    private readonly ?RequestSigner $signer;
    private readonly Retry $retry;

    /** @param Closure(): DateTimeImmutable $clock */
    public function __construct(
        private readonly Config $config,
        private readonly Transport $transport,
        private readonly ?LoggerInterface $logger,
        private readonly Closure $clock,
    ) {
        $isSigned = $config->signed && $config->secret !== null;
        $this->signer = $isSigned ? new RequestSigner($config->secret) : null;
        $this->retry = new Retry($config->retries);
    }

    /**
     * Sends a request to an endpoint of the application and returns its answer.
     *
     * @param string $endpoint what follows `/v1/apps/{app}`, percent-encoded
     * @param array<string, string|int> $query
     * @param array<string, mixed>|string|null $body a string is JSON already
     * @param bool $isRepeatable the request does no harm when it is carried out twice
     * @param float $longer seconds that the server may take in addition to the timeout
     * @return array<string, mixed>
     * @throws TagcastException
     */
    public function call(
        string $method,
        string $endpoint,
        array $query = [],
        array|string|null $body = null,
        bool $isRepeatable = true,
        float $longer = 0.0,
    ): array {
        $path = '/v1/apps/' . rawurlencode($this->config->key) . $endpoint;
        $encodedQuery = http_build_query($query, '', '&', PHP_QUERY_RFC3986);
        $json = is_array($body) ? self::encode($body) : $body;
        for ($attempt = 1; ; $attempt++) {
            try {
                return $this->attempt($method, $path, $encodedQuery, $json, $isRepeatable, $longer);
            } catch (TagcastException $failed) {
                $delay = $this->retry->delay($failed, $attempt, $isRepeatable, lcg_value());
                if ($delay === null) {
                    throw $failed;
                }
                $this->logger?->warning('Tagcast: {method} {path} failed ({code}), again in {delay} s', [
                    'method' => $method,
                    'path' => $path,
                    'code' => $failed->code,
                    'delay' => round($delay, 3),
                ]);
                usleep((int) ($delay * 1_000_000));
            }
        }
    }

    /**
     * The JSON of a body.
     *
     * @param array<string, mixed> $body
     * @throws InvalidArgumentException if the message is not JSON
     */
    public static function encode(array $body): string
    {
        try {
            return json_encode($body, self::JSON);
        } catch (JsonException $invalid) {
            throw new InvalidArgumentException("The message is not JSON: {$invalid->getMessage()}.", 0, $invalid);
        }
    }

    /** @return array<string, mixed> */
    private function attempt(
        string $method,
        string $path,
        string $query,
        ?string $body,
        bool $isRepeatable,
        float $longer,
    ): array {
        $headers = $this->credentials($method, $path, $query, $body ?? '');
        if ($body !== null) {
            $headers['Content-Type'] = 'application/json';
        }
        $request = new Request($method, $path, $query, $headers, $body);
        $response = $this->transport->send($request, $this->config->timeout + $longer, $isRepeatable);
        if ($response->status < 200 || $response->status > 299) {
            throw Errors::fromResponse($response);
        }
        $answer = json_decode($response->body, true);
        if (!is_array($answer)) {
            throw new UnavailableException('invalid_answer', 'The answer is not a JSON object.', $response->status);
        }
        return $answer;
    }

    /** @return array<string, string> */
    private function credentials(string $method, string $path, string $query, string $body): array
    {
        if ($this->signer !== null) {
            $now = ($this->clock)()->getTimestamp();
            return $this->signer->headers($method, $path, $query, $body, $now, bin2hex(random_bytes(16)));
        }
        return $this->config->secret === null ? [] : ['Authorization' => "Bearer {$this->config->secret}"];
    }
}
