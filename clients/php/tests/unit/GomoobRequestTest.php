<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use Gomoob\WebSocket\IMessageParser;
use Gomoob\WebSocket\IWebSocketRequest;
use Gomoob\WebSocket\Message\Message;
use Gomoob\WebSocket\Message\MessageParser;
use Gomoob\WebSocket\Request\WebSocketRequest;
use Gomoob\WebSocket\Response\WebSocketResponse;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;

/** Requests and messages as Gomoob's classes of the same names make them. */
final class GomoobRequestTest extends TestCase
{
    private const REQUEST = [
        'message' => ['type' => 'NEWS', 'metadata' => ['author' => 'Zoë']],
        'tags' => ['language' => 'FR', 'room' => 1],
        'metadata' => ['key' => 'shop', 'secret' => 's'],
    ];

    public function testARequestIsMadeFromAnArrayAndFromJson(): void
    {
        $fromArray = WebSocketRequest::createFromArray(self::REQUEST, new MessageParser());
        $fromJson = WebSocketRequest::createFromJSON(json_encode(self::REQUEST), new MessageParser());
        foreach ([$fromArray, $fromJson] as $request) {
            self::assertSame('NEWS', $request->getMessage()->getType());
            self::assertSame(['author' => 'Zoë'], $request->getMessage()->getMetadata());
            self::assertSame(self::REQUEST['tags'], $request->getTags());
            self::assertSame(self::REQUEST['metadata'], $request->getMetadata());
            self::assertJsonStringEqualsJsonString(json_encode(self::REQUEST), json_encode($request));
        }
    }

    /** @return array<string, array{mixed, string}> */
    public function invalid(): array
    {
        return [
            'member' => [['badKey' => 1], "Unexpected property 'badKey' !"],
            'no name' => [['message' => 'x', 'more'], "Unexpected property '0' !"],
            'no message' => [['tags' => ['a' => 'b']], "The 'message' property is mandatory !"],
            'message' => [['message' => ['a' => 'b']], "Invalid 'message' property !"],
            'tag' => [['message' => 'x', 'tags' => ['a' => ['b']]],
                "The tag named 'a' has a value which is not an integer or a string !"],
            'tag name' => [['message' => 'x', 'tags' => ['b']], "The tag name '0' is not a string !"],
            'tags' => [['message' => 'x', 'tags' => 'b'], "The 'tags' property is not an array !"],
            'no JSON' => ['{', 'Failed to decode the provided JSON string !'],
            'no array' => ['654', 'The decoded JSON string is not an array !'],
        ];
    }

    /** @dataProvider invalid */
    public function testAnInvalidRequestIsRefusedInTheWordsOfGomoob(mixed $request, string $text): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($text);
        is_array($request)
            ? WebSocketRequest::createFromArray($request, new MessageParser())
            : WebSocketRequest::createFromJSON($request, new MessageParser());
    }

    public function testTheReasonOfAnInvalidMessageIsTheCause(): void
    {
        try {
            WebSocketRequest::createFromArray(['message' => ['a' => 'b']], new MessageParser());
            self::fail('no exception');
        } catch (InvalidArgumentException $invalid) {
            self::assertSame("Unexpected property 'a' !", $invalid->getPrevious()->getMessage());
        }
        $this->expectExceptionMessage(
            "The 'message' property is not a string, you must configure a message parser to parse messages !"
        );
        WebSocketRequest::createFromArray(['message' => ['a' => 'b']]);
    }

    public function testEmptyPartsAreObjects(): void
    {
        self::assertSame('{"message":"x","metadata":{},"tags":{}}', json_encode(WebSocketRequest::create('x')));
        self::assertSame('{"metadata":{}}', json_encode(Message::create()));
        self::assertSame('{"type":"T","metadata":{"a":1}}', json_encode(new Message('T', ['a' => 1])));
        self::assertTrue((new WebSocketResponse())->isOk());
    }

    public function testTagsCanBeGivenAtOnceOrLater(): void
    {
        $tags = ['tag1' => 'tag1Value', 'tag2' => 2];
        self::assertSame($tags, WebSocketRequest::create('x', $tags)->getTags());
        $request = WebSocketRequest::factory('x');
        self::assertSame($request, $request->setTags($tags)->setMetadata(['token' => 't'])->setMessage('y'));
        self::assertSame([$tags, ['token' => 't']], [$request->getTags(), $request->getMetadata()]);
        self::assertSame('y', $request->getMessage());
        self::assertInstanceOf(IWebSocketRequest::class, $request);
    }

    public function testAMessageParserOfAProjectIsUsed(): void
    {
        $parser = new class () implements IMessageParser {
            public function parse(array $arrayMessage)
            {
                return (object) $arrayMessage;
            }
        };
        $request = WebSocketRequest::createFromJSON('{"message":{"messageProperty1":"Hello !"}}', $parser);
        self::assertSame('Hello !', $request->getMessage()->messageProperty1);
    }
}
