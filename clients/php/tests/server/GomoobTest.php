<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\server;

use Gomoob\WebSocket\Client\WebSocketClient;
use Gomoob\WebSocket\Message\Message;
use Gomoob\WebSocket\Request\WebSocketRequest;
use InvalidArgumentException;
use JsonSerializable;
use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Tests\support\ServerTestCase;

/** Scripts that are written for Gomoob's client, over a WebSocket and over the HTTP API. */
final class GomoobTest extends ServerTestCase
{
    /** @return array<string, array{callable(): string}> */
    public function addresses(): array
    {
        $http = fn (): string => self::env('TAGCAST_URL');
        return [
            'WebSocket' => [fn (): string => preg_replace('/^http/', 'ws', $http())],
            'HTTP' => [$http],
        ];
    }

    /** @dataProvider addresses */
    public function testTheExamplesOfGomoobsReadme(callable $address): void
    {
        $credentials = ['key' => self::KEY, 'secret' => self::env('TAGCAST_SECRET')];
        $room = bin2hex(random_bytes(8));
        $english = self::page(['language' => 'EN', 'room' => $room], '/');
        $french = self::page(['language' => 'FR', 'room' => $room], '/');

        $phpClient = new WebSocketClient($address());
        $phpClient->setDefaultMetadata($credentials);
        $response = $phpClient->send(WebSocketRequest::create('Bonjour', ['language' => 'FR', 'room' => $room]));
        self::assertTrue($response->isOk());
        self::assertSame('"Bonjour"', $french->receive());

        $message = new class ('Hello !') implements JsonSerializable {
            public function __construct(private $messageProperty1)
            {
            }

            public function jsonSerialize(): mixed
            {
                return ['messageProperty1' => $this->messageProperty1];
            }
        };
        WebSocketClient::factory($address())->send(
            WebSocketRequest::create($message)->setTags(['room' => $room])->setMetadata($credentials)
        );
        self::assertSame('{"messageProperty1":"Hello !"}', $english->receive());
        self::assertSame('{"messageProperty1":"Hello !"}', $french->receive());

        $phpClient->setDefaultTags(['room' => $room, 'language' => 'FR']);
        $request = WebSocketRequest::create(Message::create('NEWS', ['a' => 'Zoë']))->setTags(['language' => 'EN']);
        $phpClient->send($request);
        self::assertSame('{"type":"NEWS","metadata":{"a":"Zoë"}}', self::decoded($english->receive()));
        self::assertSame([['language' => 'EN'], []], [$request->getTags(), $request->getMetadata()]);
        $phpClient->close();
    }

    /** @dataProvider addresses */
    public function testMessagesThatPhpConsidersEmptyAreSent(callable $address): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room], '/');
        $credentials = ['key' => self::KEY, 'secret' => self::env('TAGCAST_SECRET')];
        $client = new WebSocketClient($address() . '?' . http_build_query($credentials));
        $client->setDefaultMetadata($credentials);
        foreach (['0', 0, false, []] as $message) {
            $client->send(WebSocketRequest::create($message, ['room' => $room]));
            self::assertSame(json_encode($message), $page->receive());
        }
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage('The provided Web Socket request must have a message !');
        $client->send(WebSocketRequest::create(null));
    }

    public function testARefusedRequestIsReportedByTheNextCallOnAWebSocket(): void
    {
        $client = new WebSocketClient(preg_replace('/^http/', 'ws', self::env('TAGCAST_URL')) . '?key=' . self::KEY);
        $client->send(WebSocketRequest::create('x')->setMetadata(['key' => self::KEY, 'secret' => 'wrong']));
        try {
            $client->close();
            self::fail('no exception');
        } catch (RequestException $refused) {
            self::assertSame('refused', $refused->code);
            self::assertSame(1008, $refused->details['close_code']);
            self::assertStringContainsString('Message sending is not authorized !', $refused->getMessage());
        }
        // The client can be used again.
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room], '/');
        $client->send(WebSocketRequest::create('again', ['room' => $room])
            ->setMetadata(['key' => self::KEY, 'secret' => self::env('TAGCAST_SECRET')]));
        self::assertSame('"again"', $page->receive());
    }

    public function testARefusedRequestIsAnExceptionAtOnceOverHttp(): void
    {
        $client = new WebSocketClient(self::env('TAGCAST_URL'));
        $this->expectException(AuthException::class);
        $client->send(WebSocketRequest::create('x')->setMetadata(['key' => self::KEY, 'secret' => 'wrong']));
    }

    public function testAThousandRequestsOnAWebSocketArriveInOrder(): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room], '/');
        $client = new WebSocketClient(preg_replace('/^http/', 'ws', self::env('TAGCAST_URL')));
        $client->setDefaultMetadata(['key' => self::KEY, 'secret' => self::env('TAGCAST_SECRET')]);
        for ($n = 0; $n < 1000; $n++) {
            $client->send(WebSocketRequest::create("n $n", ['room' => $room]));
        }
        for ($n = 0; $n < 1000; $n++) {
            self::assertSame("\"n $n\"", $page->receive());
        }
        $client->close();
    }

    private static function decoded(string $json): string
    {
        return json_encode(json_decode($json), JSON_UNESCAPED_UNICODE);
    }
}
