<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use InvalidArgumentException;
use Nyholm\Psr7\Factory\Psr17Factory;
use Nyholm\Psr7\Response;
use PHPUnit\Framework\TestCase;
use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;
use RuntimeException;
use Tagcast\Client\Config;
use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\HttpClient;

final class PsrTransportTest extends TestCase
{
    public function testRequestsGoThroughAClientOfPsr18(): void
    {
        $http = $this->stub(new Response(200, ['Content-Type' => 'application/json'], '{"matched":4,"workers":2}'));
        $factory = new Psr17Factory();
        $config = new Config('http://example.org/ws/', 'büro', 's', ids: false);
        $client = new HttpClient($config, $http, $factory, $factory);
        self::assertSame(4, $client->broadcast('Zoë')->matched);
        $request = $http->request;
        self::assertSame('POST', $request->getMethod());
        self::assertSame('http://example.org/ws/v1/apps/b%C3%BCro/publish', (string) $request->getUri());
        self::assertSame('Bearer s', $request->getHeaderLine('Authorization'));
        self::assertSame('{"to":"all","message":"Zoë"}', (string) $request->getBody());
    }

    public function testItsExceptionsAreOurs(): void
    {
        $http = $this->stub(new class ('cable') extends RuntimeException implements ClientExceptionInterface {
        });
        $factory = new Psr17Factory();
        $client = new HttpClient(new Config(ids: false), $http, $factory, $factory);
        try {
            $client->broadcast(1);
            self::fail('no exception');
        } catch (UnavailableException $failed) {
            self::assertSame(['connection_lost', 'cable'], [$failed->code, $failed->getMessage()]);
            self::assertTrue($failed->isOutcomeUnknown);
        }
    }

    public function testItNeedsItsFactories(): void
    {
        $this->expectException(InvalidArgumentException::class);
        new HttpClient(new Config(), $this->stub(new Response()));
    }

    private function stub(ResponseInterface|ClientExceptionInterface $result): ClientInterface
    {
        return new class ($result) implements ClientInterface {
            public ?RequestInterface $request = null;

            public function __construct(private readonly ResponseInterface|ClientExceptionInterface $result)
            {
            }

            public function sendRequest(RequestInterface $request): ResponseInterface
            {
                $this->request = $request;
                return $this->result instanceof ResponseInterface ? $this->result : throw $this->result;
            }
        };
    }
}
