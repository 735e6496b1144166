<?php

declare(strict_types=1);

namespace Gomoob\WebSocket;

/** Makes a message from its JSON. */
interface IMessageParser
{
    /**
     * @param array<mixed> $arrayMessage
     * @return object
     * @throws \InvalidArgumentException if this is not such a message
     */
    public function parse(array $arrayMessage);
}
