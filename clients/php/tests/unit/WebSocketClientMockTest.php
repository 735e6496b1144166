<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use Gomoob\WebSocket\Client\WebSocketClientMock;
use Gomoob\WebSocket\IWebSocketClient;
use Gomoob\WebSocket\Request\WebSocketRequest;
use PHPUnit\Framework\AssertionFailedError;
use PHPUnit\Framework\TestCase;
use Tagcast\Client\ClientInterface;
use Tagcast\Client\Publication;
use Tagcast\Client\To;

final class WebSocketClientMockTest extends TestCase
{
    private WebSocketClientMock $mock;

    protected function setUp(): void
    {
        $this->mock = new WebSocketClientMock();
    }

    public function testItContainsTheVeryRequestsThatWereSent(): void
    {
        [$one, $two] = [WebSocketRequest::create('Message'), WebSocketRequest::create('Message')];
        self::assertFalse($this->mock->contains($one));
        self::assertTrue($this->mock->send($one)->isOk());
        self::assertTrue($this->mock->contains($one));
        self::assertFalse($this->mock->contains($two));
    }

    public function testItCountsRequestsAndForgetsThem(): void
    {
        $request = WebSocketRequest::create('Message 0.');
        $this->mock->send($request);
        $this->mock->send($request);
        $this->mock->send(WebSocketRequest::create('Message 1.'));
        self::assertCount(2, $this->mock);
        self::assertSame(2, $this->mock->count());
        $this->mock->reset();
        self::assertSame(0, $this->mock->count());
        self::assertSame([], $this->mock->findByTags());
        $this->mock->assertNothingPublished();
    }

    public function testItFindsRequestsThatHaveAllTags(): void
    {
        [$zero, $one, $both] = $this->sendThree($this->mock);
        self::assertSame([$zero, $one, $both], $this->mock->findByTags());
        self::assertSame([$zero, $both], $this->mock->findByTags(['tag0' => 'tag0Value']));
        self::assertSame([$one, $both], $this->mock->findByTags(['tag1' => 7]));
        self::assertSame([$one, $both], $this->mock->findByTags(['tag1' => '7']));
        self::assertSame([$both], $this->mock->findByTags(['tag0' => 'tag0Value', 'tag1' => 7]));
        self::assertSame([], $this->mock->findByTags(['tag0' => 'tag0Value', 'typo' => 'x']));
    }

    public function testATagThatNoRequestHasIsSkippedIfThatIsWanted(): void
    {
        $mock = new WebSocketClientMock(legacyTags: true);
        [$zero, , $both] = $this->sendThree($mock);
        self::assertSame([$zero, $both], $mock->findByTags(['tag0' => 'tag0Value', 'typo' => 'x']));
        self::assertSame([$both], $mock->findByTags(['tag0' => 'tag0Value', 'tag1' => 7]));
        self::assertSame([], $mock->findByTags(['typo' => 'x']));
        self::assertCount(3, $mock->findByTags());
    }

    public function testItIsAClientOfBothInterfaces(): void
    {
        self::assertInstanceOf(IWebSocketClient::class, $this->mock);
        self::assertInstanceOf(ClientInterface::class, $this->mock);
        $this->mock->publish(To::tags(['language' => 'FR']), 'Bonjour');
        $this->mock->feedback('uuid-1', ['progress' => 50]);
        $this->mock->broadcast('all');
        self::assertSame('Bonjour', $this->mock->findByTags(['language' => 'FR'])[0]->getMessage());
        self::assertCount(3, $this->mock);
        $this->mock->assertFeedback('uuid-1');
        $this->mock->assertPublished(fn (Publication $it): bool => $it->to->kind() === 'all' && $it->data === 'all');
        self::assertSame($this->mock, $this->mock->setDefaultTags(['a' => 'b'])->setDefaultMetadata(['key' => 'k']));
        self::assertSame(['a' => 'b'], $this->mock->getDefaultTags());
        self::assertSame(['key' => 'k'], $this->mock->getDefaultMetadata());
    }

    public function testAssertionsFail(): void
    {
        $this->mock->send(WebSocketRequest::create('x'));
        $assertions = [
            fn () => $this->mock->assertNothingPublished(),
            fn () => $this->mock->assertFeedback('uuid-1'),
            fn () => $this->mock->assertPublished(fn (): bool => false),
        ];
        foreach ($assertions as $assertion) {
            $failed = null;
            try {
                $assertion();
            } catch (AssertionFailedError $failed) {
            }
            self::assertNotNull($failed);
        }
    }

    /** @return list<WebSocketRequest> */
    private function sendThree(WebSocketClientMock $mock): array
    {
        $requests = [
            WebSocketRequest::create('Message 0.')->setTags(['tag0' => 'tag0Value']),
            WebSocketRequest::create('Message 1.')->setTags(['tag1' => 7]),
            WebSocketRequest::create('Message 2.')->setTags(['tag0' => 'tag0Value', 'tag1' => '7']),
        ];
        array_map($mock->send(...), $requests);
        return $requests;
    }
}
