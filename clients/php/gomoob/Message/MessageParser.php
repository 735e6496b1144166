<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Message;

use Gomoob\WebSocket\IMessageParser;
use InvalidArgumentException;

/** Makes a {@see Message} from its JSON. */
class MessageParser implements IMessageParser
{
    public function parse(array $arrayMessage)
    {
        foreach (array_keys($arrayMessage) as $name) {
            if (!in_array($name, ['type', 'creationDate', 'metadata'], true)) {
                throw new InvalidArgumentException("Unexpected property '$name' !");
            }
        }
        if (!array_key_exists('type', $arrayMessage)) {
            throw new InvalidArgumentException("No 'type' property found !");
        }
        $metadata = $arrayMessage['metadata'] ?? [];
        if (!is_array($metadata)) {
            throw new InvalidArgumentException("The 'metadata' property is not an array !");
        }
        return new Message($arrayMessage['type'], $metadata);
    }
}
