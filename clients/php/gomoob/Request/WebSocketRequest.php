<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Request;

use Gomoob\WebSocket\IMessageParser;
use Gomoob\WebSocket\IWebSocketRequest;
use InvalidArgumentException;
use JsonSerializable;
use stdClass;
use Tagcast\Client\Tags;

/** A message, the tags that its recipients carry, and metadata for the server. */
class WebSocketRequest implements IWebSocketRequest
{
    /** @var array<string, mixed> */
    protected $metadata = [];

    /** @var array<string, string|int> */
    protected $tags = [];

    /**
     * @param mixed $message a string, or anything that `json_encode` takes
     * @param array<string, string|int> $tags
     */
    public function __construct(protected $message, array $tags = [])
    {
        $this->setTags($tags);
    }

    /**
     * The same as {@see factory()}.
     *
     * @param mixed $message
     * @param array<string, string|int> $tags
     * @return self
     */
    public static function create($message, array $tags = [])
    {
        return static::factory($message, $tags);
    }

    /**
     * @param mixed $message
     * @param array<string, string|int> $tags
     * @return self
     */
    public static function factory($message, array $tags = [])
    {
        return new self($message, $tags);
    }

    /**
     * @param array<mixed> $jsonArray with `message`, and maybe `tags` and `metadata`
     * @param IMessageParser|null $messageParser needed if the message is not a string
     * @return self
     * @throws InvalidArgumentException if this is not a request
     */
    public static function createFromArray(array $jsonArray, ?IMessageParser $messageParser = null)
    {
        foreach (array_keys($jsonArray) as $name) {
            if (!in_array($name, ['message', 'tags', 'metadata'], true)) {
                throw new InvalidArgumentException("Unexpected property '$name' !");
            }
        }
        if (!array_key_exists('message', $jsonArray)) {
            throw new InvalidArgumentException("The 'message' property is mandatory !");
        }
        foreach (['tags', 'metadata'] as $name) {
            if (!is_array($jsonArray[$name] ?? [])) {
                throw new InvalidArgumentException("The '$name' property is not an array !");
            }
        }
        $request = new self(self::parsed($jsonArray['message'], $messageParser), $jsonArray['tags'] ?? []);
        return $request->setMetadata($jsonArray['metadata'] ?? []);
    }

    /**
     * @param string $jsonString
     * @return self
     * @throws InvalidArgumentException if this is not JSON, or not a request
     */
    public static function createFromJSON($jsonString, ?IMessageParser $messageParser = null)
    {
        $decoded = json_decode((string) $jsonString, true);
        if ($decoded === null) {
            throw new InvalidArgumentException('Failed to decode the provided JSON string !');
        }
        if (!is_array($decoded)) {
            throw new InvalidArgumentException('The decoded JSON string is not an array !');
        }
        return static::createFromArray($decoded, $messageParser);
    }

    public function getMessage()
    {
        return $this->message;
    }

    public function getMetadata()
    {
        return $this->metadata;
    }

    public function getTags()
    {
        return $this->tags;
    }

    public function setMessage($message)
    {
        $this->message = $message;
        return $this;
    }

    public function setMetadata(array $metadata = [])
    {
        $this->metadata = $metadata;
        return $this;
    }

    public function setTags(array $tags = [])
    {
        Tags::check($tags);
        $this->tags = $tags;
        return $this;
    }

    public function jsonSerialize(): mixed
    {
        $message = $this->message;
        return [
            'message' => $message instanceof JsonSerializable ? $message->jsonSerialize() : $message,
            'metadata' => $this->metadata === [] ? new stdClass() : $this->metadata,
            'tags' => $this->tags === [] ? new stdClass() : $this->tags,
        ];
    }

    /**
     * @param mixed $message
     * @return mixed
     */
    private static function parsed($message, ?IMessageParser $messageParser)
    {
        if (is_string($message)) {
            return $message;
        }
        if ($messageParser === null) {
            throw new InvalidArgumentException(
                "The 'message' property is not a string, you must configure a message parser to parse messages !"
            );
        }
        if (!is_array($message)) {
            throw new InvalidArgumentException("Invalid 'message' property !", -1);
        }
        try {
            return $messageParser->parse($message);
        } catch (InvalidArgumentException $invalid) {
            throw new InvalidArgumentException("Invalid 'message' property !", -1, $invalid);
        }
    }
}
