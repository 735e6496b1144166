<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Message;

use Gomoob\WebSocket\IMessage;
use stdClass;

/** A message with a type and metadata. */
class Message implements IMessage
{
    /**
     * @param string|null $type
     * @param array<string, mixed> $metadata
     */
    public function __construct(protected $type = null, protected array $metadata = [])
    {
    }

    /**
     * @param string|null $type
     * @param array<string, mixed> $metadata
     * @return self
     */
    public static function create($type = null, array $metadata = [])
    {
        return new self($type, $metadata);
    }

    public function getType()
    {
        return $this->type;
    }

    public function getMetadata()
    {
        return $this->metadata;
    }

    public function jsonSerialize(): mixed
    {
        // A type that PHP considers empty is left out.
        $type = $this->type ? ['type' => $this->type] : [];
        return $type + ['metadata' => $this->metadata === [] ? new stdClass() : $this->metadata];
    }
}
